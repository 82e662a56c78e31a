//! Volumes: plain ones, and those that stand on a snapshot.

use super::{Made, Planner};
use crate::event::StepId;
use crate::plan::action::UpperSpec;
use crate::plan::desired::CloneWanted;
use crate::plan::{Action, Cause};

impl<'a> Planner<'a> {
    pub(super) fn volumes(&mut self) {
        let desired = self.desired;
        for volume in desired.stack.volumes.iter().filter(|volume| !self.observed.volumes.contains(&volume.name)) {
            let clones = &desired.stack.clones;
            // It is made with the clone that writes into it.
            if clones.iter().any(|clone| clone.upper.name == volume.name) {
                continue;
            }
            let clone = clones.iter().find(|clone| clone.volume == volume.name);
            let upper = clone.and_then(|clone| self.upper(clone));
            let after = [self.on(Made::Claim), upper];
            let step = self.add(Action::CreateVolume(volume.clone()), Cause::Missing, &after);
            self.note(Made::Volume(&volume.name), step);
        }
    }

    /// The upper of a clone that is not there. An older one is nobody's: it goes.
    fn upper(&mut self, clone: &'a CloneWanted) -> Option<StepId> {
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
            of: self.desired.record.claim.identity.clone(),
            image: clone.image.clone(),
        });
        let claim = self.on(Made::Claim);
        self.add(Action::MakeUpper(spec), Cause::Missing, &[claim, base])
    }
}
