//! `sandbox up --dry-run`: the plan, and nothing else.

use crate::desk::{Desk, Footprint, hiding};

#[test]
fn a_dry_run_prints_the_plan_and_writes_nothing() {
    let desk = Desk::new();
    let engine = desk.engine();
    let before = Footprint::of(&desk);
    let plan = desk.run(["up", "--dry-run", "feature/auth"]).succeeds();
    // They follow from the repository's path, which is another each time.
    let _numbers = hiding(r"slot \d+ and subnet [\d./]+", "slot [SLOT] and subnet [SUBNET]");
    insta::assert_snapshot!(plan, @"
     1. claim slot [SLOT] and subnet [SUBNET] (missing)
     2. add worktree [DESK]/src/blog-wt/feature-auth on feature/auth (missing) after 1
     3. check out [DESK]/src/blog-wt/feature-auth (missing) after 2
     4. record that the sandbox is checked out (follows from the worktree) after 3
     5. exclude /.env.worktree from git (missing) after 1
     6. exclude /.compose.worktree.yaml from git (missing) after 1
     7. exclude /.sandbox-*.tmp from git (missing) after 1
     8. write the env file (missing) after 2, 4, 5, 6, 7
     9. write the Compose file (missing) after 2, 4, 5, 6, 7
    10. make the base snapshot of postgres (missing) after 1
    11. create volume sandbox_upper_blog_feature_auth_postgres-data (missing) after 1, 10
    12. create volume blog_feature_auth_postgres-data (missing) after 1, 11
    13. make the base snapshot of redis (missing) after 1
    14. create volume sandbox_upper_blog_feature_auth_redis-data (missing) after 1, 13
    15. create volume blog_feature_auth_redis-data (missing) after 1, 14
    16. create network blog_feature_auth_default (missing) after 1
    17. create container blog_feature_auth-postgres-1 (missing) after 2, 12
    18. start container blog_feature_auth-postgres-1 (follows from the container) after 17, 1, 16
    19. prepare databases blog_feature_auth_development and blog_feature_auth_test (not known to be ready) after 18
    20. create container blog_feature_auth-redis-1 (missing) after 2, 15
    21. start container blog_feature_auth-redis-1 (follows from the container) after 20, 1, 16
    22. wait until redis is ready (not known to be ready) after 21
    23. record that the sandbox is established (follows from the rest) after 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22
    ");
    assert_eq!(Footprint::of(&desk).since(&before), Vec::<String>::new());
    assert!(engine.commands().is_empty());
}

#[test]
fn a_dry_run_in_json_is_one_document() {
    let desk = Desk::new();
    let _engine = desk.engine();
    let answer: serde_json::Value =
        serde_json::from_str(&desk.run(["up", "--dry-run", "--json", "fix"]).succeeds()).unwrap();
    assert_eq!(answer["schema_version"], 1);
    let steps = answer["plan"].as_array().unwrap();
    assert_eq!(steps[0]["step"], 0);
    assert!(steps.iter().any(|step| step["title"].as_str().unwrap().contains("worktree")), "{answer}");
}
