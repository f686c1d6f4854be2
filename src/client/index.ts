// The package's export `occ-mesh/client`: what a service needs to talk to the cloud.
export { Caller } from '../../gen/occmesh/access/v1/access.js';
export { type MachineInfo, Role } from '../../gen/occmesh/enrollment/v1/enrollment.js';
export {
  type CreateApiTokenRequest,
  type CreateApiTokenResponse,
  type CreateCustomerRequest,
  type CreateEnrollmentTokenRequest,
  type CreateEnrollmentTokenResponse,
  type CreateSensorRequest,
  type Customer,
  type DeleteSensorRequest,
  type ListCustomersRequest,
  type ListCustomersResponse,
  type ListMachinesRequest,
  type ListMachinesResponse,
  type ListSensorsRequest,
  type ListSensorsResponse,
  type ListTokensRequest,
  type ListTokensResponse,
  type Machine,
  MachineState,
  type ReleaseMachineRequest,
  type RetireMachineRequest,
  type RevokeTokenRequest,
  type RotateSealingKeyRequest,
  type RunSensorRequest,
  type RunSensorResponse,
  type Sensor,
  type ThresholdList,
  type Token,
  TokenKind,
  type UpdateCustomerRequest,
  type UpdateMachineRequest,
  type UpdateSensorRequest,
} from '../../gen/occmesh/inventory/v1/inventory.js';
export {
  Outcome,
  Path,
  type SealedSecret,
  SecretProblem,
  type TargetPart,
  type Threshold,
} from '../../gen/occmesh/link/v1/link.js';
export type {
  AggregateReadingsRequest,
  AggregateReadingsResponse,
  GetLatestRequest,
  GetLatestResponse,
  GetLedgerRequest,
  GetLedgerResponse,
  LogLedger,
  LostRange,
  MetricBuckets,
  QueryReadingsRequest,
  QueryReadingsResponse,
  Reading,
  ReadingId,
  StateBuckets,
  Value,
  WatchReadingsRequest,
  WatchReadingsResponse,
} from '../../gen/occmesh/readings/v1/readings.js';
export {
  type DeleteSecretRequest,
  type GetSealingContextRequest,
  type GetSealingContextResponse,
  type ListSecretsRequest,
  type ListSecretsResponse,
  type PutSecretRequest,
  type Secret,
  SecretState,
} from '../../gen/occmesh/secrets/v1/secrets.js';
export { type FlushRange, GapReason, State, Witness } from '../../gen/occmesh/telemetry/v1/telemetry.js';
export { type ContractCode, ContractFault } from '../contract/fault.js';
export { type ConnectModules, type ConnectOptions, connect, type MeshClient } from './connect.js';
export { every } from './pages.js';
export type { MeshCallOptions, ServiceCalls, Sparse } from './service-calls.js';
export type { NewSecret } from './set-secret.js';
