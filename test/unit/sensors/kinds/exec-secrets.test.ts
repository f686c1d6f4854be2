// Kind `exec` with a secret: it reaches the program as the settings say, and is to be found nowhere else.
import { expect } from 'chai';
import { exec } from '../../../../src/sensors/kinds/exec.js';
import { secretsOf } from '../support.js';
import { Plugins } from './plugins.js';

const SECRET = 'hunter2 "$(id)" \'x\'';
const run = (plugins: Plugins, settings: object, secret: string | undefined = SECRET) =>
  plugins.run(settings, undefined, {}, secretsOf(secret === undefined ? {} : { secret }));

describe('sensors/kinds: exec with a secret', () => {
  before(function () {
    if (process.platform !== 'linux') this.skip();
  });

  it('hands it over by standard input, with the end of its line, and the end of all', async () => {
    await using plugins = await Plugins.make();
    await plugins.script('read', 'read -r it; printf "%s/" "$it"; cat | wc -c');
    expect((await run(plugins, { program: 'read', secret: 'stdin' })).message).to.equal(`${SECRET}/0`);
    expect((await run(plugins, { program: 'read', secret: 'stdin' }, 'a\nb')).message).to.equal('a/2');
  });

  it('hands it over by one variable of the environment', async () => {
    await using plugins = await Plugins.make();
    await plugins.script('env', 'printf %s "$MY_PASSWORD"; env | grep -c hunter2');
    const message = (await run(plugins, { program: 'env', secret: 'environment', variable: 'MY_PASSWORD' })).message;
    expect(message).to.equal(`${SECRET}1`);
  });

  it('is in no argument, and not where it was not asked for', async () => {
    await using plugins = await Plugins.make();
    const look = 'tr "\\0" " " < /proc/$$/cmdline; cat /proc/$$/environ | tr "\\0" " "; cat';
    await plugins.script('look', look);
    expect((await run(plugins, { program: 'look', args: ['x'] })).message).to.not.include('hunter2');
    await plugins.script('arguments', 'tr "\\0" " " < /proc/$$/cmdline');
    for (const way of [{ secret: 'stdin' }, { secret: 'environment', variable: 'A_TOKEN' }]) {
      const { message } = await run(plugins, { program: 'arguments', args: ['x'], ...way });
      expect(message)
        .to.match(/arguments x$/)
        .and.not.include('hunter2');
    }
  });

  it('a program that does not read, or reads for ever, is as good as any', async () => {
    await using plugins = await Plugins.make();
    await plugins.script('deaf', 'exec <&-; echo fine');
    const long = 'x'.repeat(200_000);
    expect((await run(plugins, { program: 'deaf', secret: 'stdin' }, long)).message).to.equal('fine');
    await plugins.script('greedy', 'cat > /dev/null; echo fine');
    expect((await run(plugins, { program: 'greedy', secret: 'stdin' }, long)).message).to.equal('fine');
  });

  it('without the secret, or with one that does not fit, nothing is run', async () => {
    await using plugins = await Plugins.make();
    await plugins.script('run', 'echo run');
    const message = async (settings: object, secrets: Record<string, string>) =>
      (await plugins.run({ program: 'run', ...settings }, undefined, {}, secretsOf(secrets)).catch((e) => e)).message;
    expect(await message({ secret: 'stdin' }, {})).to.equal('no secret has been entered for this target');
    const zero = await message({ secret: 'environment', variable: 'A_TOKEN' }, { secret: 'hunter2\0' });
    expect(zero).to.equal('a secret with zero bytes fits in no environment');
    expect(await message({ secret: 'none' }, {}), 'control').to.equal('run');
  });

  it('takes no variable that decides what a program loads, runs or writes', () => {
    const variable = (name: string) =>
      exec.settings.safeParse({ program: 'x', secret: 'environment', variable: name }).success;
    for (const name of [
      ...['LD_PRELOAD', 'LD_LIBRARY_PATH', 'PATH', 'HOME', 'IFS', 'ENV', 'BASH_ENV', 'PS4', 'PERL5OPT', 'PYTHONPATH'],
      ...['NODE_OPTIONS', 'SSH_ASKPASS', 'SUDO_ASKPASS', 'GIT_ASKPASS', 'SSLKEYLOGFILE', 'GCONV_PATH', 'PWD', 'OLDPWD'],
      ...['BASH_FUNC_x%%_KEY', 'a_PASSWORD', 'A B_TOKEN', 'X=_KEY', '', '_KEY'],
    ]) {
      expect(variable(name), name).to.equal(false);
    }
    for (const name of ['PGPASSWORD', 'MYSQL_PWD', 'SNMP_COMMUNITY', 'API_TOKEN', 'AWS_SECRET_KEY']) {
      expect(variable(name), name).to.equal(true);
    }
    for (const settings of [
      { secret: 'environment' },
      { secret: 'stdin', variable: 'A_TOKEN' },
      { variable: 'A_TOKEN' },
    ]) {
      expect(exec.settings.safeParse({ program: 'x', ...settings }).success).to.equal(false);
    }
  });

  it('is void for another program, other arguments, another way', () => {
    const target = (changes: object) =>
      JSON.stringify(
        exec.secrets?.target(exec.settings.parse({ program: 'x', args: ['a', 'b'], secret: 'stdin', ...changes })),
      );
    const own = target({});
    for (const changes of [{ program: 'y' }, { args: ['a b'] }, { secret: 'environment', variable: 'A_TOKEN' }]) {
      expect(target(changes)).to.not.equal(own);
    }
  });
});
