//! Profiles: which services take part.

use super::project::Project;
use super::service::Service;

impl Service {
    /// Whether the service takes part when these profiles are asked for; `*` is all of them.
    #[must_use]
    pub fn is_active(&self, profiles: &[&str]) -> bool {
        self.profiles.is_empty()
            || profiles.contains(&"*")
            || self.profiles.iter().any(|own| profiles.contains(&own.as_str()))
    }
}

impl Project {
    /// The project with those services alone that take part when these profiles are asked for.
    ///
    /// What an active service cannot do without takes part too; what it merely prefers and is absent is forgotten.
    #[must_use]
    pub fn with_profiles(mut self, profiles: &[&str]) -> Project {
        let active = |(name, service): (&String, &Service)| service.is_active(profiles).then(|| name.clone());
        let mut names: Vec<String> = self.services.iter().filter_map(active).collect();
        let mut at = 0;
        while let Some(service) = names.get(at).and_then(|name| self.services.get(name)) {
            let required = service.depends_on.iter().filter(|(_, dependency)| dependency.required);
            let more: Vec<String> =
                required.map(|(name, _)| name).filter(|name| !names.contains(name)).cloned().collect();
            names.extend(more);
            at += 1;
        }
        self.services.retain(|name, _| names.contains(name));
        for service in self.services.values_mut() {
            service.depends_on.retain(|name, _| names.contains(name));
        }
        self
    }
}
