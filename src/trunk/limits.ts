// Limits of a trunk that both ends keep.
import { MAX_ENVELOPE_BYTES } from '../link/envelope.js';

/** Channel 0 is the trunk itself. */
export const TRUNK_CHANNEL = 0;
/** No connector carries more hubs than this. */
export const MAX_CHANNELS = 10_000;
/**
 * A channel whose queue towards the hub passes this is closed: a hub that does not read costs only itself. One envelope of
 * the largest size, which a desired state may have, and 256 KiB of others.
 */
export const MAX_DOWNLINK_BYTES: number = MAX_ENVELOPE_BYTES + 256 * 1024;
/** All channels of a trunk together, as after a start of the cloud, when each hub gets its desired state. */
export const MAX_TRUNK_DOWNLINK_BYTES: number = 512 * 1024 * 1024;
/** As many frames may wait for a connector: one that asks and does not read costs only itself. */
export const MAX_TRUNK_DOWNLINK_FRAMES: number = 20 * MAX_CHANNELS;
/** A message may carry one frame of the largest size beyond its usual size. */
export const MAX_MESSAGE_BYTES: number = 2 * 1024 * 1024;
/** More than the smallest frames that come to its usual size. */
export const MAX_MESSAGE_FRAMES = 8_192;
/** Between heartbeats of the trunk, milliseconds; three unanswered end it. */
export const TRUNK_HEARTBEAT_MS = 10_000;
/** More than this waiting for the cloud from one hub: it does not keep to its window and its credit. */
export const MAX_UPLINK_BYTES: number = 4 * 1024 * 1024;
/** All hubs of a trunk together: from there on, one has to be content with the share below. */
export const MAX_TRUNK_UPLINK_BYTES: number = 256 * 1024 * 1024;
export const SHARE_OF_UPLINK_BYTES: number = 64 * 1024;
