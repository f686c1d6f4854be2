// Text from elsewhere as it is shown on a screen; what may not be shown at all is in src/kernel/text.ts.
import { plainLine } from '../../kernel/text.js';

/** As one line that leaves room for others. */
export const oneLine = (text: string, limit = 160): string => plainLine(text, limit);
