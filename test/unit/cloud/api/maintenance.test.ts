// Planning a maintenance: what is wrong with a schedule is said by its part, not in a library's words.
import { expect } from 'chai';
import { OPERATOR, TestApi } from './fixture.js';

describe('maintenance API: schedules', () => {
  const plan = async (schedule: { cron: string; timeZone: string }) => {
    await using api = await TestApi.start();
    const { id: customerId } = await api.call('createCustomer', OPERATOR, { name: 'Acme' });
    return await api.call('createMaintenance', OPERATOR, {
      customerId,
      schedule: { ...schedule, durationMs: 3_600_000 },
    });
  };

  const problem = (schedule: { cron: string; timeZone: string }): Promise<string> =>
    plan(schedule).then(
      () => 'none',
      (fault: Error) => fault.message,
    );

  it('takes those that are right', async () => {
    expect(await problem({ cron: '0 3 * * 0', timeZone: 'Europe/Berlin' })).to.equal('none');
    expect(await problem({ cron: '0 3 * * 0', timeZone: '' })).to.equal('none');
  });

  it('names a zone that there is not', async () => {
    const wrong = await problem({ cron: '0 3 * * 0', timeZone: 'Europe/Berln' });
    expect(wrong).to.equal('schedule.time_zone: there is no zone "Europe/Berln"');
  });

  it('and what is wrong with an expression', async () => {
    const wrong = await problem({ cron: '61 3 * * 0', timeZone: 'UTC' });
    expect(wrong).to.equal('schedule.cron: cannot be used: Invalid value for minute: 61');
    expect(await problem({ cron: '0 0 31 2 *', timeZone: 'UTC' })).to.contain('never comes');
    for (const cron of ['0 3 * *', '', '0 0 3 * * 0'])
      expect(await problem({ cron, timeZone: 'UTC' })).to.match(/^schedule\.cron: must have five parts/);
    expect(await problem({ cron: '@daily', timeZone: 'UTC' })).to.equal('none');
  });
});
