//! What the binary carries with it: the templates of `compose-templates/` and the recipes of `images/`.
//!
//! Only tables and what follows from them; building a recipe is [`crate::images`]'s.

use sha2::{Digest, Sha256};

use crate::hex::hex;

/// A Compose file shipped with the binary.
#[derive(Clone, Copy, Debug)]
pub struct Template {
    /// Its name in the settings.
    pub name: &'static str,
    /// The Compose file as it stands in `compose-templates/`.
    pub text: &'static str,
    /// Its services.
    pub services: &'static [&'static str],
    /// The host ports it publishes: the variable in the file, and the port of slot 0 unless the settings say otherwise.
    pub ports: &'static [(&'static str, u16)],
    /// The variables in it that the settings may set. The others are the sandbox's own.
    pub variables: &'static [&'static str],
}

/// A build context shipped with the binary, for an image that stands in for one that no registry hands out.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Its directory in `images/`.
    pub name: &'static str,
    /// The reference it stands in for: a template's own image, never one that a repository names.
    pub stands_in_for: &'static str,
    /// The variable of the templates that names the image.
    pub variable: &'static str,
    /// The files of the context: name, content, mode.
    pub files: &'static [(&'static str, &'static str, u32)],
}

/// Every template.
pub const TEMPLATES: &[Template] = &[Template {
    name: "postgres-redis",
    text: include_str!("../compose-templates/postgres-redis.yaml"),
    services: &["postgres", "redis"],
    ports: &[("POSTGRES_PORT", 15000), ("REDIS_PORT", 16000)],
    variables: &[
        "POSTGRES_IMAGE",
        "POSTGRES_SHARED_BUFFERS",
        "POSTGRES_MAX_CONNECTIONS",
        "REDIS_IMAGE",
        "REDIS_MAXMEMORY",
        "HEALTH_INTERVAL",
        "HEALTH_START_PERIOD",
    ],
}];

/// Every recipe.
pub const RECIPES: &[Recipe] = &[
    Recipe {
        name: "postgres",
        stands_in_for: "postgres:17",
        variable: "POSTGRES_IMAGE",
        files: &[
            ("Dockerfile", include_str!("../images/postgres/Dockerfile"), 0o644),
            ("entrypoint.sh", include_str!("../images/postgres/entrypoint.sh"), 0o755),
        ],
    },
    Recipe {
        name: "redis",
        stands_in_for: "redis:8",
        variable: "REDIS_IMAGE",
        files: &[
            ("Dockerfile", include_str!("../images/redis/Dockerfile"), 0o644),
            ("entrypoint.sh", include_str!("../images/redis/entrypoint.sh"), 0o755),
        ],
    },
];

/// The recipe of the image that a pool needs. It stands in for none.
pub static POOL: Recipe = Recipe {
    name: "pool",
    stands_in_for: "",
    variable: "",
    files: &[("Dockerfile", include_str!("../images/pool/Dockerfile"), 0o644)],
};

/// The template of a name.
#[must_use]
pub fn template(name: &str) -> Option<&'static Template> {
    TEMPLATES.iter().find(|template| template.name == name)
}

/// The recipe that stands in for an image reference.
#[must_use]
pub fn stand_in(reference: &str) -> Option<&'static Recipe> {
    RECIPES.iter().find(|recipe| recipe.stands_in_for == reference)
}

/// The recipe whose image has a given tag.
#[must_use]
pub fn recipe_tagged(tag: &str) -> Option<&'static Recipe> {
    RECIPES.iter().chain([&POOL]).find(|recipe| recipe.tag() == tag)
}

impl Recipe {
    /// The image it makes, under our own name: `sandbox-postgres:1f0c9a7be2d3`. Another recipe is another tag.
    #[must_use]
    pub fn tag(&self) -> String {
        let mut hash = Sha256::new();
        for (name, content, mode) in self.files {
            // Lengths keep one file's end from being another's beginning.
            hash.update(format!("{name} {mode:o} {}\n", content.len()));
            hash.update(content);
        }
        format!("{}:{}", self.repository(), hex(&hash.finalize()[..6]))
    }

    /// Whether an image of this reference was made by it, as it is or as it was in an older version.
    #[must_use]
    pub fn has_made(&self, reference: &str) -> bool {
        reference.split_once(':').is_some_and(|(repository, _)| repository == self.repository())
    }

    fn repository(&self) -> String {
        format!("sandbox-{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_of_a_template_stands_in_it() {
        for template in TEMPLATES {
            for name in template.variables.iter().chain(template.ports.iter().map(|(name, _)| name)) {
                assert!(template.text.contains(&format!("${{{name}:-")), "{name}");
            }
        }
    }

    #[test]
    fn the_services_of_a_template_are_those_in_it() {
        for template in TEMPLATES {
            let file: serde_yaml::Value = serde_yaml::from_str(template.text).unwrap();
            let services = file["services"].as_mapping().unwrap().keys().map(|key| key.as_str().unwrap());
            assert_eq!(services.collect::<Vec<_>>(), template.services);
        }
    }

    #[test]
    fn every_recipe_has_a_tag_of_its_own_by_which_it_is_found() {
        for recipe in RECIPES.iter().chain([&POOL]) {
            assert!(recipe.tag().starts_with(&format!("sandbox-{}:", recipe.name)));
            assert_eq!(recipe_tagged(&recipe.tag()).unwrap().name, recipe.name);
            assert!(recipe.has_made(&recipe.tag()) && recipe.has_made(&format!("sandbox-{}:0123", recipe.name)));
            assert!(!recipe.has_made(recipe.stands_in_for) && !recipe.has_made("sandbox-other:0123"));
        }
    }
}
