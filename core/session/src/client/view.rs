//! How far this client's own view is: what the models know of it, and what the owner was asked to do.

/// The stages of this client's view. Each stage follows the one before; [`lose`](OwnView::lose) leads back to the
/// first from everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    /// The models do not know the view, or know it no longer: events of it would come from a stranger.
    #[default]
    Unknown,
    /// The models know the view. The model still catches up.
    Joined,
    /// The owner is asked to build the view, and has not polled that yet. The model stands still.
    Announced,
    /// The owner has built the view.
    Built,
}

/// What the owner must hear when a view is lost.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Nothing: there was no view to build yet.
    Nothing,
    /// That the view need not be built after all.
    Announcement,
    /// That the view is gone.
    View,
}

#[derive(Debug, Default)]
pub(super) struct OwnView {
    stage: Stage,
}

impl OwnView {
    /// Whether the models know the view.
    pub(super) fn is_known(&self) -> bool {
        self.stage != Stage::Unknown
    }

    /// Whether a view can be built from the model, or has been.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Announced | Stage::Built)
    }

    /// Whether the owner must poll before the model goes on.
    pub(super) fn is_announced(&self) -> bool {
        self.stage == Stage::Announced
    }

    /// The models know the view from here on.
    pub(super) fn join(&mut self) {
        if self.stage == Stage::Unknown {
            self.stage = Stage::Joined;
        }
    }

    /// The model has caught up. True if the owner is to be asked to build the view.
    pub(super) fn announce(&mut self) -> bool {
        let is_due = self.stage == Stage::Joined;
        if is_due {
            self.stage = Stage::Announced;
        }
        is_due
    }

    /// The owner has polled the announcement.
    pub(super) fn build(&mut self) {
        if self.stage == Stage::Announced {
            self.stage = Stage::Built;
        }
    }

    /// The models do not know the view any longer.
    pub(super) fn lose(&mut self) -> Loss {
        match std::mem::take(&mut self.stage) {
            Stage::Unknown | Stage::Joined => Loss::Nothing,
            Stage::Announced => Loss::Announcement,
            Stage::Built => Loss::View,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_announced_once_and_lost_as_far_as_it_had_come() {
        let mut view = OwnView::default();
        assert!(!view.announce() && !view.is_known());
        view.join();
        assert_eq!((view.is_known(), view.is_ready(), view.lose()), (true, false, Loss::Nothing));
        view.join();
        assert!(view.announce() && !view.announce() && view.is_ready() && view.is_announced());
        assert_eq!((view.lose(), view.is_known()), (Loss::Announcement, false));
        view.join();
        view.announce();
        view.build();
        view.join();
        assert!(view.is_ready() && !view.is_announced());
        assert_eq!(view.lose(), Loss::View);
    }
}
