"""What a student learns from: training sets, distillation targets, scales, augmentation."""
