/*
 * Copyright (C) The ngx_im authors
 */

/* Stored groups, what owners do in live rooms, and cut connections, with the
 * unmodified web SDK. */

'use strict';

const assert = require('assert');
const im = require('../node/im');
const { Client } = require('../node/client');

const { test, sleep } = im;

let gus, hal, ida;

const create = async (type, options) => {
    const reply = await gus.tim.createGroup({
        type: gus.T[type], name: 'group', ...options });

    return reply.data.group.groupID;
};

const is = (list, test) => list.some(test) && list.find(test);


test('groups: login', async () => {
    gus = new Client('gus');
    hal = new Client('hal');
    ida = new Client('ida');

    await Promise.all([gus.login(), hal.login(), ida.login()]);
});

test('groups: an application taken from the list is approved', async () => {
    const group = await create('GRP_PUBLIC');
    const reply = await ida.tim.joinGroup({ groupID: group,
                                            applyMessage: 'please' });

    assert.strictEqual(reply.data.status, 'WaitAdminApproval');

    const list = (await gus.tim.getGroupApplicationList()).data
                 .applicationList;
    const application = is(list, (one) => one.groupID === group);

    assert.strictEqual(application.applicant, 'ida');

    const from = ida.now();

    await gus.tim.handleGroupApplication({ handleAction: 'Agree',
                                           application });
    await ida.event('GROUP_LIST_UPDATED',
                    (l) => l.some((g) => g.groupID === group), from);

    const rest = (await gus.tim.getGroupApplicationList()).data
                 .applicationList;

    assert(!rest.some((one) => one.groupID === group), 'handled');
});

test('groups: invitations that an admin approves', async () => {
    const group = await create('GRP_PUBLIC', {
        inviteOption: gus.T.INVITE_OPTIONS_NEED_PERMISSION,
        memberList: [{ userID: 'hal' }] });

    await hal.event('GROUP_LIST_UPDATED',
                    (l) => l.some((g) => g.groupID === group));
    await hal.tim.addGroupMember({ groupID: group, userIDList: ['ida'] });

    const list = (await gus.tim.getGroupApplicationList()).data
                 .applicationList;
    const application = is(list, (one) => one.groupID === group);

    assert.strictEqual(application.applicationType, 2);

    const from = ida.now();

    await gus.tim.handleGroupApplication({ handleAction: 'Agree',
                                           application });
    await ida.event('GROUP_LIST_UPDATED',
                    (l) => l.some((g) => g.groupID === group), from);
});

test('groups: what is not to be the last message, after a login', async () => {
    const group = await create('GRP_WORK', { memberList: [{ userID: 'hal' }] });

    await gus.say(group, 'shown');
    await gus.tim.sendMessage(gus.tim.createTextMessage({
        to: group, conversationType: gus.T.CONV_GROUP,
        payload: { text: 'quiet' } }),
        { messageControlInfo: { excludedFromLastMessage: true } });
    await hal.got('quiet');

    await hal.tim.logout();
    hal = new Client('hal');
    await hal.login();

    const found = await im.until(() => hal.conversation('GROUP' + group));

    assert.strictEqual(found.lastMessage.messageForShow, 'shown');
});

test('groups: attributes are the same at all, at once', async () => {
    for (const type of ['GRP_PUBLIC', 'GRP_AVCHATROOM']) {
        const live = type === 'GRP_AVCHATROOM';
        const group = await create(type, live ? {} : {
            memberList: [{ userID: 'hal' }, { userID: 'ida' }] });

        for (const one of [gus, hal, ida]) {
            if (live) {
                await one.tim.joinGroup({ groupID: group });

            } else {
                await one.event('GROUP_LIST_UPDATED',
                                (l) => l.some((g) => g.groupID === group));
            }
        }

        const list = { groupID: group, keyList: [] };

        await gus.tim.initGroupAttributes({
            groupID: group, groupAttributes: { song: '1', seat: 'hal' } });
        await gus.tim.setGroupAttributes({
            groupID: group, groupAttributes: { song: '2' } });
        await gus.tim.deleteGroupAttributes({
            groupID: group, keyList: ['seat'] });

        const replies = await Promise.all([gus, hal, ida].map(
            (one) => one.tim.getGroupAttributes(list)));

        for (const reply of replies) {
            assert.strictEqual(JSON.stringify(reply.data.groupAttributes),
                               '{"song":"2"}', type);
        }
    }
});

test('rooms: the owner mutes and marks', async () => {
    const room = await create('GRP_AVCHATROOM');

    for (const one of [gus, hal]) {
        await one.tim.joinGroup({ groupID: room });
    }

    await gus.tim.setGroupMemberMuteTime({ groupID: room, userID: 'hal',
                                           muteTime: 60 });
    await assert.rejects(hal.say(room, 'x'), (error) => error.code === 10017);

    const hals = await gus.tim.getGroupMemberProfile({
        groupID: room, userIDList: ['hal', 'ida'] });

    assert.strictEqual(hals.data.memberList.length, 1, 'who is in');
    assert(hals.data.memberList[0].muteUntil > Date.now() / 1000, 'muted');

    await gus.tim.setGroupMemberMuteTime({ groupID: room, userID: 'hal',
                                           muteTime: 0 });
    await hal.say(room, 'free');

    const reply = await gus.tim.markGroupMemberList({
        groupID: room, userIDList: ['hal'], markType: 1000,
        enableMark: true });

    assert.strictEqual(reply.data.successUserIDList[0], 'hal');

    const marked = await gus.tim.getGroupMemberList({ groupID: room,
                                                      filter: 1000 });

    assert.strictEqual(marked.data.memberList.map((m) => m.userID).join(),
                       'hal');
});

test('c2c: a cut in the middle: nothing is lost or doubled', async () => {
    await sleep(1100);           /* a younger socket is not opened again */

    const from = hal.now();
    const sent = [];

    for (let i = 0; i < 20; i++) {
        sent.push(gus.send('hal', 'mid ' + i));

        if (i === 10) {
            gus.net.cut();
        }
    }

    await Promise.all(sent);

    const words = () => hal.events.slice(from)
        .filter((e) => e.name === 'MESSAGE_RECEIVED')
        .flatMap((e) => e.data)
        .map((m) => m.payload.text)
        .filter((text) => /^mid /.test(text));

    /* those that were sent again may come behind the last one */

    await im.until(() => new Set(words()).size >= 20, 'hal gets all',
                   30000);

    const got = words();

    assert.strictEqual(new Set(got).size, 20, 'all');
    assert.strictEqual(got.length, 20, 'once');
});

im.run();
