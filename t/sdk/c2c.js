/*
 * Copyright (C) The ngx_im authors
 */

/* Login and single chats with the unmodified web SDK. */

'use strict';

const assert = require('assert');
const im = require('../node/im');
const { Client } = require('../node/client');

const { test, sleep } = im;

let ann, bob;


test('login: SDK_READY', async () => {
    ann = new Client('ann');
    bob = new Client('bob');

    await Promise.all([ann.login(), bob.login()]);

    assert.strictEqual((await ann.tim.getMyProfile()).data.userID, 'ann');
});

test('login: a UserSig of somebody else is refused', async () => {
    await assert.rejects(new Client('eve').login(im.usersig('ann')),
                         (error) => error.code === 70013);
});

test('login: an expired UserSig is refused', async () => {
    await assert.rejects(new Client('eve').login(im.usersig('eve', -10)),
                         (error) => error.code === 70001);
});

test('login: text frames', async () => {
    const dan = new Client('dan', { devMode: true });

    await dan.login();
    await dan.tim.logout();
});

test('c2c: text both ways, the same identity on both sides', async () => {
    const one = await ann.send('bob', 'hello bob');
    const two = await bob.got('hello bob');

    for (const field of ['ID', 'time', 'random', 'sequence', 'from', 'to']) {
        assert.deepStrictEqual(two[field], one[field], field);
    }

    assert.strictEqual(two.flow, 'in');
    assert.strictEqual(two.conversationID, 'C2Cann');

    const three = await bob.send('ann', 'hello ann');
    const four = await ann.got('hello ann');

    assert.strictEqual(four.ID, three.ID);
});

test('c2c: characters beyond ASCII', async () => {
    const words = 'Grüße 你好 👋🏽 \u2028 "\\" \t</script>';

    await ann.send('bob', words);
    await bob.got(words);
});

test('c2c: the administrator sends', async () => {
    await im.rest('openim/sendmsg', {
        From_Account: 'ann', To_Account: 'bob', SyncOtherMachine: 1,
        MsgRandom: 77, MsgBody: im.text('by REST') });

    const received = await bob.got('by REST');
    const own = await ann.got('by REST');

    assert.strictEqual(received.flow, 'in');
    assert.strictEqual(own.flow, 'out');
    assert.strictEqual(own.ID, received.ID);
});

test('c2c: to an account that does not exist', async () => {
    await assert.rejects(ann.send('nobody-is-here', 'x'),
                         (error) => error.code >= 20000);
});

test('c2c: order of many', async () => {
    const from = bob.now();
    const want = [];

    for (let i = 0; i < 30; i++) {
        want.push('order ' + i);
    }

    for (const words of want) {
        await ann.send('bob', words);
    }

    await bob.got(want[29], from);

    const got = bob.events.slice(from)
        .filter((e) => e.name === 'MESSAGE_RECEIVED')
        .flatMap((e) => Array.from(e.data, (m) => m.payload.text));

    assert.deepStrictEqual(got, want);
});

test('c2c: unread count, read, MESSAGE_READ_BY_PEER', async () => {
    const from = ann.now();

    await ann.send('bob', 'unread');
    await bob.got('unread');
    await im.until(async () => (await bob.conversation('C2Cann'))
                               .unreadCount > 0, 'unread count');

    await bob.tim.setMessageRead({ conversationID: 'C2Cann' });
    await ann.event('MESSAGE_READ_BY_PEER', (list) => list.some(
        (m) => m.payload.text === 'unread'), from);

    assert.strictEqual((await bob.conversation('C2Cann')).unreadCount, 0);
});

test('c2c: receipt of one message', async () => {
    const from = ann.now();
    const sent = await ann.send('bob', 'receipt', { needReadReceipt: true });
    const got = await bob.got('receipt');

    assert.strictEqual(got.needReadReceipt, true);
    await bob.tim.sendMessageReadReceipt([got]);
    await ann.event('MESSAGE_READ_RECEIPT_RECEIVED', (list) => list.some(
        (r) => r.messageID === sent.ID && r.isPeerRead), from);
});

test('c2c: recall', async () => {
    const from = bob.now();
    const sent = await ann.send('bob', 'recalled');

    await bob.got('recalled', from);
    await ann.tim.revokeMessage(sent);
    await bob.event('MESSAGE_REVOKED', (list) => list.some(
        (m) => m.ID === sent.ID), from);
});

test('c2c: history of a fresh login, and what is recalled in it',
     async () => {
    const words = ['hello bob', 'by REST', 'receipt', 'unread'];

    await bob.tim.logout();
    bob = new Client('bob');
    await bob.login();

    const got = await bob.history('C2Cann');

    words.forEach((w) => assert.strictEqual(
        got.filter((g) => g === w).length, 1, w));
    assert(!got.includes('recalled'));
    assert.deepStrictEqual(got.filter((g) => /^order/.test(g)),
                           Array.from({ length: 30 },
                                      (x, i) => 'order ' + i));
});

test('offline: messages and unread count at the next login', async () => {
    await bob.tim.setMessageRead({ conversationID: 'C2Cann' });
    await bob.tim.logout();

    /* in one second the order is that of MsgSeq, which the server chose for
     * what came by REST */

    await sleep(1100);
    await ann.send('bob', 'while away 1');
    await ann.send('bob', 'while away 2');

    bob = new Client('bob');
    await bob.login();

    const one = await im.until(async () => {
        const c = await bob.conversation('C2Cann');
        return c && c.unreadCount === 2 && c;
    }, 'two unread');

    assert.strictEqual(one.lastMessage.messageForShow, 'while away 2');
});

test('reconnect: nothing is lost when the socket is cut', async () => {
    const from = bob.now();
    const opened = bob.net.opened;

    await sleep(1200);
    bob.net.down = true;
    bob.net.cut();
    await ann.send('bob', 'in the gap 1');
    await ann.send('bob', 'in the gap 2');
    bob.net.down = false;

    await bob.got('in the gap 1', from, 20000);
    await bob.got('in the gap 2', from, 20000);
    assert(bob.net.opened > opened);

    await bob.send('ann', 'back again');
    await ann.got('back again');
    assert(!bob.has('KICKED_OUT', null, from));
});

test('reconnect: all workers are killed', async () => {
    const froma = ann.now();
    const fromb = bob.now();

    await sleep(1200);
    await im.kill();

    await ann.event('NET_STATE_CHANGE', (d) => d.state === 'connected',
                    froma, 30000);
    await bob.event('NET_STATE_CHANGE', (d) => d.state === 'connected',
                    fromb, 30000);

    await ann.send('bob', 'after the kill');
    await bob.got('after the kill', fromb, 20000);
    assert(!ann.has('KICKED_OUT') && !bob.has('KICKED_OUT', null, fromb));
}, 90000);

test('kick: a second login ends the first', async () => {
    const from = ann.now();
    const second = new Client('ann');

    await second.login();

    const data = await ann.event('KICKED_OUT', null, from);
    assert.strictEqual(data.type, ann.T.KICKED_OUT_MULT_ACCOUNT);

    await bob.send('ann', 'to the second');
    await second.got('to the second');
    ann = second;
});

test('kick: by the administrator', async () => {
    const from = ann.now();

    await im.rest('im_open_login_svc/kick', { UserID: 'ann' });

    const data = await ann.event('KICKED_OUT', null, from);
    assert.strictEqual(data.type, ann.T.KICKED_OUT_REST_API);
});

test('logout: nothing is to be had afterwards', async () => {
    await bob.tim.logout();
    await assert.rejects(bob.send('ann', 'x'));
    await bob.login();
    await bob.tim.logout();
});

im.run();
