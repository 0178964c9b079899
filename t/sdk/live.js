/*
 * Copyright (C) The ngx_im authors
 */

/* Live rooms with the unmodified web SDK, users and guests. */

'use strict';

const assert = require('assert');
const im = require('../node/im');
const { Client } = require('../node/client');

const { test, sleep } = im;

let eva, finn, guest, room;

const tip = (client, op, from) => client.event('MESSAGE_RECEIVED', (list) =>
    list.some((m) => m.type === 'TIMGroupTipElem'
                     && m.payload.operationType === op), from);

const join = (client) => client.tim.joinGroup({
    groupID: room, type: client.T.GRP_AVCHATROOM });


test('create a room and join it', async () => {
    eva = new Client('eva');
    finn = new Client('finn');
    await Promise.all([eva.login(), finn.login()]);

    const reply = await eva.tim.createGroup({
        type: eva.T.GRP_AVCHATROOM, name: 'Evening show' });

    room = reply.data.group.groupID;
    assert.strictEqual((await join(eva)).data.status, 'JoinedSuccess');

    const from = eva.now();

    assert.strictEqual((await join(finn)).data.status, 'JoinedSuccess');
    await tip(eva, 1, from);
});

test('text both ways, the same identity', async () => {
    const one = await eva.say(room, 'hello room');
    const two = await finn.got('hello room');

    for (const field of ['ID', 'sequence', 'time', 'from']) {
        assert.deepStrictEqual(two[field], one[field], field);
    }

    const from = finn.now();

    await finn.say(room, 'hello host');
    await eva.got('hello host');
    await sleep(500);
    assert(!finn.has('MESSAGE_RECEIVED', (list) => list.some(
        (m) => m.payload.text === 'hello host'), from), 'own message');
});

test('the administrator sends to all', async () => {
    const fromb = finn.now();

    await im.say(room, 'from the back end');

    const got = await eva.got('from the back end');

    assert.strictEqual(got.from, im.admin);
    await finn.got('from the back end', fromb);
});

test('custom elements and notices', async () => {
    const from = finn.now();

    await im.say(room, [{ MsgType: 'TIMCustomElem', MsgContent: {
        Data: '{"gift":7}', Desc: 'a gift', Ext: '' } }], 'eva');
    await finn.event('MESSAGE_RECEIVED', (list) => list.some(
        (m) => m.type === 'TIMCustomElem' && m.payload.data === '{"gift":7}'),
        from);

    await im.rest('group_open_http_svc/send_group_system_notification', {
        GroupId: room, Content: 'news' });
    await finn.event('MESSAGE_RECEIVED', (list) => list.some(
        (m) => m.type === 'TIMGroupSystemNoticeElem'
               && m.payload.userDefinedField === 'news'), from);
});

test('a guest receives and cannot send', async () => {
    guest = new Client('guest');

    const reply = await guest.tim.joinGroup({ groupID: room });

    assert.strictEqual(reply.data.status, 'JoinedSuccess');
    await sleep(500);
    await eva.say(room, 'to guests');
    await guest.got('to guests');
    await im.say(room, 'to guests by REST');
    await guest.got('to guests by REST');
    await assert.rejects(guest.say(room, 'x'));
});

test('audience', async () => {
    const reply = await finn.tim.getGroupOnlineMemberCount(room);

    assert(reply.data.memberCount >= 2, String(reply.data.memberCount));
});

test('order of many', async () => {
    const from = finn.now();
    const want = Array.from({ length: 25 }, (x, i) => 'live ' + i);

    for (const words of want) {
        await eva.say(room, words);
    }

    await finn.got(want[24], from);

    const got = finn.events.slice(from)
        .filter((e) => e.name === 'MESSAGE_RECEIVED')
        .flatMap((e) => Array.from(e.data, (m) => m.payload.text))
        .filter((words) => /^live /.test(words));

    assert.deepStrictEqual(got, want);
});

test('a cut socket: the room goes on', async () => {
    const from = finn.now();

    await sleep(1200);
    finn.net.cut();
    await finn.event('NET_STATE_CHANGE', (d) => d.state === 'connected', from,
                    20000);
    await sleep(500);

    await im.until(async () => {
        await im.say(room, 'after the cut');
        await sleep(300);
        return finn.has('MESSAGE_RECEIVED', (list) => list.some(
            (m) => m.payload.text === 'after the cut'), from);
    }, 'messages after the cut');
});

test('quit, and the owner dismisses the room', async () => {
    const from = eva.now();
    const reply = await finn.tim.quitGroup(room);

    assert.strictEqual(reply.data.groupID, room);
    await tip(eva, 2, from);

    await join(finn);
    const fromb = finn.now();
    await eva.tim.dismissGroup(room);
    await finn.event('MESSAGE_RECEIVED', (list) => list.some(
        (m) => m.type === 'TIMGroupSystemNoticeElem'
               && m.payload.operationType === 5), fromb);
    await assert.rejects(join(finn), (error) => error.code === 10010);
});

im.run();
