//! Volumes: plain ones, and those that stand on a snapshot.

use super::{Made, Planner};
use crate::event::StepId;
use crate::plan::action::UpperSpec;
use crate::plan::desired::CloneWanted;
use crate::plan::{Action, Cause};
use crate::snapshot::is_upper;

impl<'a> Planner<'a> {
    pub(super) fn volumes(&mut self) {
        let desired = self.desired;
        // That there will be others is on disk before the first of them: whoever comes next makes all of them, and knows that no
        // set-up has been run on them.
        let is_known = desired.record.pending.is_some() || self.observed.worktree.is_some();
        let pending = self.on(Made::Record).filter(|_| is_known);
        for volume in desired.stack.volumes.iter().filter(|volume| !self.observed.volumes.contains(&volume.name)) {
            let clone = desired.stack.clones.iter().find(|clone| clone.volume == volume.name);
            let upper = clone.and_then(|clone| self.upper(clone, pending));
            let after = [self.on(Made::Claim), pending, upper];
            let step = self.add(Action::CreateVolume(volume.clone()), Cause::Missing, &after);
            self.note(Made::Volume(&volume.name), step);
        }
    }

    /// The upper of a clone that is not there.
    fn upper(&mut self, clone: &'a CloneWanted, pending: Option<StepId>) -> Option<StepId> {
        // Should there be one by now, whoever performs it says so, and everything is decided anew: on which layer the clone is to
        // stand above all.
        let base = clone.base.as_ref().and_then(|base| {
            let known = self.on(Made::Snapshot(&base.key));
            let after = [self.on(Made::Claim), self.on(Made::Image(&clone.image))];
            let made = known.or_else(|| self.plan.add(Action::MakeBase(base.clone()), Cause::Missing, &after));
            self.note(Made::Snapshot(&base.key), made);
            made
        });
        let spec = Box::new(UpperSpec {
            volume: clone.upper.clone(),
            snapshot: clone.snapshot.clone(),
            layers: clone.layers.clone(),
            content: clone.content.clone(),
            has_manifest: clone.has_manifest,
            of: self.desired.record.claim.identity.clone(),
            image: clone.image.clone(),
        });
        let claim = self.on(Made::Claim);
        self.add(Action::MakeUpper(spec), Cause::Missing, &[claim, pending, base])
    }

    /// What others have come in the place of goes when these serve.
    pub(super) fn superseded(&mut self) {
        let (desired, observed) = (self.desired, self.observed);
        let services = desired.stack.services.iter();
        let mut after: Vec<Option<StepId>> = vec![self.on(Made::Claim)];
        after.extend(services.flat_map(|it| [self.on(Made::Started(&it.name)), self.on(Made::Ready(&it.name))]));
        after.extend(observed.containers.iter().map(|container| self.on(Made::Cleared(&container.id))));
        let left = desired.stack.superseded.iter().filter(|name| observed.volumes.contains(*name));
        let (uppers, clones): (Vec<&String>, Vec<&String>) = left.partition(|name| is_upper(name));
        let remove = |name: &String| Action::RemoveVolume { name: name.clone() };
        // Without what it wrote into a clone would be half of its data.
        let gone = clones.into_iter().map(|name| self.add(remove(name), Cause::Superseded, &after));
        let after = after.iter().copied().chain(gone.collect::<Vec<_>>()).collect::<Vec<_>>();
        for name in uppers {
            self.add(remove(name), Cause::Superseded, &after);
        }
    }
}
