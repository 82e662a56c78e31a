//! After a run that was killed: ending the git that it had started, and waiting for what it had asked of the engine.
//!
//! The engine goes on with a request whose client is gone, and shows a network or a container only when it is finished:
//! whoever looks in between misses it. Of one address range it has one network, and of one name one container. So making
//! one in the sandbox's range, or of a service's name, says whether another is under way: it is refused while that is so.
//! By then the faster requests (volumes) are done.
//!
//! What it has begun to remove it lists as before. A container's files it refuses to hand out meanwhile, and a volume it shows
//! when it is done with it.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::Instant;

use super::{Real, snapshots};
use crate::catalog;
use crate::claims::Claim;
use crate::claims::subnet::Subnet;
use crate::engine::{ContainerSpec, CreateContainer, CreateNetwork, Network, NetworkSpec, State, labels};
use crate::error::{Error, Kind, Result};
use crate::git::{CHILD_MARK, resolved};
use crate::processes::{self, Group};
use crate::task::Identity;

/// A network that is being made takes some 100 ms, and waits for all others that are.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long the processes that a killed run left are ended. What is still there then is named by whoever weighs losses.
const CHILDREN_PATIENCE: Duration = Duration::from_secs(15);

/// How long a program may take to begin. One that stays without an environment is none of ours.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// Between two tries.
const POLL: Duration = Duration::from_millis(20);

impl Real<'_> {
    /// Returns once nothing is under way any more in a sandbox's worktree, nor in the engine in the addresses that it has
    /// claimed.
    pub async fn settle(&self, identity: &Identity) -> Result<()> {
        // What is in somebody's way there is in nobody's here.
        let _ = snapshots::sweep_abandoned(self).await;
        let claims = self.site.with_records(self.site.claims.read()?)?;
        // Without a claim nothing was asked for: it is entered first and released last.
        let Some(claim) = claims.of(identity) else { return Ok(()) };
        self.end_children(identity, claim).await?;
        let services = catalog::TEMPLATES.iter().flat_map(|template| template.services);
        let containers = try_join_all(services.map(|service| self.settle_container(claim, service)));
        tokio::try_join!(self.settle_network(claim), containers, self.settle_removals(identity)).map(drop)
    }

    async fn settle_removals(&self, identity: &Identity) -> Result<()> {
        let (ours, uppers) = (labels::of(identity), labels::upper_of(identity));
        let (containers, volumes, uppers) =
            tokio::try_join!(self.engine.containers(&ours), self.engine.volumes(&ours), self.engine.volumes(&uppers))?;
        // A dead one is not being removed: that has failed.
        let containers = containers.iter().filter(|container| container.state != State::Dead);
        let containers = containers.map(|container| self.engine.await_begun_removal(&container.id));
        let volumes = volumes.iter().chain(&uppers).map(|volume| self.engine.volume(&volume.name));
        tokio::try_join!(try_join_all(containers), try_join_all(volumes)).map(drop)
    }

    async fn settle_network(&self, claim: &Claim) -> Result<()> {
        let probe = NetworkSpec {
            name: format!("{}_probe", claim.names.project),
            subnet: Some(claim.subnet.to_string()),
            internal: true,
            labels: labels::owned_by(&claim.identity),
            ..NetworkSpec::default()
        };
        let begun = Instant::now();
        loop {
            match self.engine.create_network(&probe).await? {
                CreateNetwork::Created(id) => return self.engine.remove_network(&id).await,
                // One that a killed run left here: it is listed, and found like everything else.
                CreateNetwork::NameTaken(_) => return Ok(()),
                CreateNetwork::SubnetTaken(_) => {}
            }
            if self.engine.networks().await?.iter().any(|network| is_in(network, claim.subnet)) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(too_long(&format!("a network in {}", claim.subnet)));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn settle_container(&self, claim: &Claim, service: &str) -> Result<()> {
        let name = claim.names.container(service);
        // Without an image it is made of nothing, whatever images there are. Should this run be killed now, the next takes
        // it for the service's, made from another configuration.
        let service_label = (labels::SERVICE.to_owned(), service.to_owned());
        let probe = ContainerSpec {
            name: name.clone(),
            command: Some(vec!["probe".to_owned()]),
            labels: labels::owned_by(&claim.identity).into_iter().chain([service_label]).collect(),
            ..ContainerSpec::default()
        };
        let begun = Instant::now();
        while self.engine.inspect(&name).await?.is_none() {
            match self.engine.create_container(&probe).await {
                Ok(CreateContainer::Created(id)) => return self.engine.remove_container(&id).await,
                Ok(CreateContainer::NameTaken(_)) => {}
                Err(error) if error.leaves_work_under_way() => return Err(error),
                // An engine that makes none without an image cannot be asked so.
                Ok(CreateContainer::NoNetwork(_)) | Err(_) => return Ok(()),
            }
            if begun.elapsed() > PATIENCE {
                return Err(too_long(&format!("the container {name}")));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

fn too_long(what: &str) -> Error {
    Error::new(Kind::Engine, format!("the engine has been making {what} for too long"))
        .hint("`sandbox doctor` says how the engine is")
}

impl Real<'_> {
    /// A checkout with a slow filter outlives whoever started it. What it has not done the next one does.
    async fn end_children(&self, identity: &Identity, claim: &Claim) -> Result<()> {
        let known = self.site.find(&identity.task)?.map(|sandbox| sandbox.worktree.path);
        let place = known.unwrap_or_else(|| self.site.worktrees_root().join(&claim.names.directory));
        let place = resolved(&place);
        let (variable, value) = CHILD_MARK;
        let begun = Instant::now();
        // Until a look finds none: what is ended in one may have started another since.
        loop {
            let (mut ours, mut undecided) = (HashSet::new(), 0);
            for process in processes::working_in(&place) {
                match process.has_set(variable, value) {
                    Some(true) => ours.extend(Group::of(process.pid)),
                    Some(false) => {}
                    None => undecided += 1,
                }
            }
            for group in &ours {
                group.end().await;
            }
            let patience = if ours.is_empty() { START_PATIENCE } else { CHILDREN_PATIENCE };
            if (ours.is_empty() && undecided == 0) || begun.elapsed() > patience {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn is_in(network: &Network, subnet: Subnet) -> bool {
    network.subnets.iter().filter_map(|it| it.range.parse::<Subnet>().ok()).any(|range| range.overlaps(subnet))
}
