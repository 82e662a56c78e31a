//! Relative paths made absolute, so that a project can be written down elsewhere than it was read.

use super::mount::MountKind;
use super::project::Project;

impl Project {
    /// Makes paths on the host absolute: relative ones begin at `directory`, `~` is `home`. Both must be absolute.
    ///
    /// Changes binds, build contexts and env files; the context of a remote repository (`https://…`) stays.
    pub fn anchor_paths(&mut self, directory: &str, home: Option<&str>) {
        let anchor = |path: &mut String| *path = anchored(path, directory, home);
        for service in self.services.values_mut() {
            for mount in &mut service.volumes {
                if let MountKind::Bind { source, .. } = &mut mount.kind {
                    anchor(source);
                }
            }
            service.env_file.iter_mut().for_each(|file| anchor(&mut file.path));
            if let Some(context) = service.build.as_mut().and_then(|build| build.context.as_mut())
                && !is_remote(context)
            {
                anchor(context);
            }
        }
    }
}

fn is_remote(context: &str) -> bool {
    context.contains("://") || context.starts_with("git@") || context.starts_with("github.com/")
}

fn anchored(path: &str, directory: &str, home: Option<&str>) -> String {
    match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => return format!("{home}{rest}"),
        _ if path.starts_with('/') => return path.to_owned(),
        _ => {}
    }
    // `..` is left to the kernel: what lies before it may be a symbolic link.
    let steps = path.split('/').filter(|step| !step.is_empty() && *step != ".");
    steps.fold(directory.trim_end_matches('/').to_owned(), |whole, step| whole + "/" + step)
}
