// Debian's Prometheus scrapes latest readings from a cloud, over TLS with a token, and answers questions about them.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { LocalMesh } from '../../src/demo/mesh.js';
import { until } from '../support/until.js';
