/** Short names of what the compiler produces: the init shapes of the launch plan's messages. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  CapabilitySetsSchema,
  CgroupDirSchema,
  CgroupPlanSchema,
  CgroupWriteSchema,
  DevicePlanSchema,
  HookPlanSchema,
  LaunchPlanSchema,
  MountPlanSchema,
  NamespacePlanSchema,
  ProcessPlanSchema,
  RlimitPlanSchema,
} from "@gantry/proto/shim";

// Init shapes also take whole messages; the compiler only makes plain objects.
type Plain<T> = Exclude<T, { $typeName: string }>;

export type CapabilitySets = Plain<MessageInitShape<typeof CapabilitySetsSchema>>;
export type CgroupDir = Plain<MessageInitShape<typeof CgroupDirSchema>>;
export type CgroupPlan = Plain<MessageInitShape<typeof CgroupPlanSchema>>;
export type CgroupWrite = Plain<MessageInitShape<typeof CgroupWriteSchema>>;
export type DevicePlan = Plain<MessageInitShape<typeof DevicePlanSchema>>;
export type HookPlan = Plain<MessageInitShape<typeof HookPlanSchema>>;
export type LaunchPlanInit = Plain<MessageInitShape<typeof LaunchPlanSchema>>;
export type MountPlan = Plain<MessageInitShape<typeof MountPlanSchema>>;
export type NamespacePlan = Plain<MessageInitShape<typeof NamespacePlanSchema>>;
export type ProcessPlan = Plain<MessageInitShape<typeof ProcessPlanSchema>>;
export type RlimitPlan = Plain<MessageInitShape<typeof RlimitPlanSchema>>;
