/*
 * Copyright (C) The ngx_im authors
 */

/* The H5 page as a guest and as a user. */

'use strict';

const assert = require('assert');
const im = require('../node/im');
const chrome = require('../node/browser');

const { test, say } = im;

const path = '/?room=show';
let guest, other, user;

const state = (page, kind, words) => page.waitForFunction(
    ([k, w]) => document.getElementById('state').dataset.state === k
                && document.getElementById('state-text').textContent
                           .includes(w), [kind, words || '']);

const sees = (page, words) => page.locator('#log li')
                                  .filter({ hasText: words })
                                  .first().waitFor();

const count = (page, words) => page.locator('#log li')
                                   .filter({ hasText: words }).count();


test('a page waits for its room', async () => {
    await chrome.launch();
    guest = await chrome.visit(path, { deviceScaleFactor: 2 });
    await state(guest, 'wait', 'does not exist');

    await im.room('show', { Name: 'Evening show' });
    await say('show', 'the first words');
    await state(guest, 'live', 'as a guest');
    await sees(guest, 'the first words');
    assert.strictEqual(await count(guest, 'the first words'), 1);
}, 60000);

test('a guest receives what REST sends', async () => {
    await im.users('ann');
    await im.rest('profile/portrait_set', {
        From_Account: 'ann', ProfileItem: [
            { Tag: 'Tag_Profile_IM_Nick', Value: 'Ann' }] });

    await say('show', 'Welcome to the show!');
    await sees(guest, 'Welcome to the show!');
    await say('show', 'Hello from ann', 'ann');
    await sees(guest, 'Hello from ann');

    const item = guest.locator('#log li')
                      .filter({ hasText: 'Hello from ann' });

    assert.strictEqual(await item.locator('.name').textContent(), 'Ann');
    assert.match(await item.locator('time').getAttribute('datetime'),
                 /^20\d\d-/);
    assert.strictEqual(await guest.locator('#title').textContent(),
                       'Evening show');
});

test('guests alone see the audience', async () => {
    await guest.waitForFunction(
        () => !document.getElementById('audience').hidden
              && Number(document.getElementById('count').textContent) >= 1);
}, 60000);

test('a message is text, whatever is in it', async () => {
    const words = '<img src=x onerror="document.title=1"><b>bold</b>';

    await say('show', words, 'ann');
    await sees(guest, words);
    assert.strictEqual(await guest.locator('#log img, #log b').count(), 0);
});

test('other elements', async () => {
    await say('show', [{ MsgType: 'TIMCustomElem', MsgContent: {
        Data: '{"gift":7}', Desc: 'seven roses', Ext: '' } }], 'ann');
    await sees(guest, 'seven roses');
    await say('show', [{ MsgType: 'TIMFaceElem', MsgContent: {
        Index: 6, Data: '[smile]' } }], 'ann');
    await sees(guest, '[smile]');
    await say('show', [{ MsgType: 'TIMLocationElem', MsgContent: {
        Desc: 'at the stage', Latitude: 29.3, Longitude: 116.3 } }], 'ann');
    await sees(guest, 'at the stage');
});

test('a notice', async () => {
    await im.rest('group_open_http_svc/send_group_system_notification', {
        GroupId: 'show', Content: 'The raffle is open.' });
    await sees(guest, 'The raffle is open.');
});

test('long polls, where there are no events', async () => {
    other = await chrome.visit(path, { without: '**/events' });
    await state(other, 'live');
    await say('show', 'by poll 1');
    await sees(other, 'by poll 1');
    await say('show', 'by poll 2');
    await sees(other, 'by poll 2');
    assert.strictEqual(await count(other, 'by poll'), 2);
});

test('any page can listen with EventSource', async () => {
    const page = await chrome.visit('/live.css');

    await page.evaluate((url) => new Promise((done, fail) => {
        const events = new EventSource(url);

        window.texts = [];
        events.onopen = done;
        events.onerror = fail;
        events.onmessage = (event) => {
            JSON.parse(event.data).MsgBody.forEach((part) => {
                window.texts.push(part.MsgContent.Text);
            });
        };
    }), '/rooms/' + im.app + '/show/events');

    await say('show', 'to EventSource');
    await page.waitForFunction(() => window.texts.includes('to EventSource'));
    await page.context().close();
});

test('a refused UserSig', async () => {
    user = await chrome.visit(path, {
        viewport: { width: 1280, height: 800 } });
    await state(user, 'live');
    await user.click('#open');
    await user.fill('#user', 'ann');
    await user.fill('#sig', im.usersig('bob'));
    await user.click('#enter');
    await user.locator('#login-error', { hasText: '70013' }).waitFor();
    await user.locator('#enter:enabled').waitFor();
    await state(user, 'live', 'as a guest');
});

test('a user signs in and writes, guests see it', async () => {
    await user.fill('#sig', im.usersig('ann'));
    await user.click('#enter');
    await state(user, 'live', 'Joined as ann');

    await user.fill('#text', 'written in the page');
    await user.press('#text', 'Enter');

    await sees(guest, 'written in the page');
    await sees(other, 'written in the page');
    await sees(user, 'written in the page');
    await im.sleep(500);
    assert.strictEqual(await count(user, 'written in the page'), 1);
    assert.strictEqual(await count(guest, 'written in the page'), 1);
    assert.strictEqual(await user.inputValue('#text'), '');

    await say('show', 'and REST again');
    await sees(user, 'and REST again');
});

test('audience', async () => {
    const watching = (page) => page.waitForFunction(
        () => Number(document.getElementById('count').textContent) >= 3);

    await watching(user);
    await watching(guest);
    await chrome.shot(guest, 'h5-guest');
    await chrome.shot(user, 'h5-user');
}, 60000);

test('all workers are killed: the pages come back, nothing is lost',
     async () => {
    await im.kill();
    await say('show', 'said in the gap');
    await sees(guest, 'said in the gap');
    await sees(user, 'said in the gap');
    await sees(other, 'said in the gap');

    await Promise.all([guest, user, other].map((p) => state(p, 'live')));
    await say('show', 'after the kill');

    for (const page of [guest, user, other]) {
        await sees(page, 'after the kill');
        assert.strictEqual(await count(page, 'said in the gap'), 1);
        assert.strictEqual(await count(page, 'after the kill'), 1);
    }

    await user.fill('#text', 'still signed in');
    await user.click('#send');
    await sees(guest, 'still signed in');
}, 120000);

test('the newest 200 messages stay', async () => {
    for (let i = 0; i < 210; i++) {
        await say('show', 'many ' + i);
    }

    await sees(guest, 'many 209');
    assert.strictEqual(await guest.locator('#log li').count(), 200);

    const left = await guest.evaluate(() => {
        const log = document.getElementById('log');
        return log.scrollHeight - log.scrollTop - log.clientHeight;
    });

    assert(left < 60, 'the newest is in view');
}, 60000);

test('signed in somewhere else', async () => {
    const second = await chrome.visit(path);

    await state(second, 'live');
    await second.click('#open');
    await second.fill('#user', 'ann');
    await second.fill('#sig', im.usersig('ann'));
    await second.click('#enter');
    await state(second, 'live', 'Joined as ann');

    await user.locator('#note', { hasText: 'signed out' }).waitFor();
    await state(user, 'live', 'as a guest');

    await second.click('#leave');
    await state(second, 'live', 'as a guest');
    await second.context().close();
});

test('the room is dismissed and made again', async () => {
    await im.rest('group_open_http_svc/destroy_group', { GroupId: 'show' });
    await state(guest, 'wait', 'does not exist');
    await im.room('show', { Name: 'Late show' });
    await state(guest, 'live');
    await say('show', 'a new beginning');
    await sees(guest, 'a new beginning');
}, 60000);

test('no errors in the pages', async () => {
    assert.deepStrictEqual(chrome.problems, []);
    await chrome.close();
});

im.run();
