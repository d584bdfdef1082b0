"""What a student learns from: training sets, distillation targets, scales, augmentation."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "datasets": ["build_dataset"],
        "distillation": ["DistillationTargets", "distillation_targets"],
        "normaliser": ["fit_normaliser"],
        "teacher_runs": ["TeacherRun", "run_teacher"],
    },
)
