/*
 * Copyright (C) The ngx_im authors
 */

/* The unmodified web SDK in a browser: its socket lives in a Web Worker. */

'use strict';

const assert = require('assert');
const im = require('../node/im');
const chrome = require('../node/browser');

const { test } = im;

let ann, bob, room;


/* A page in which the user has signed in. */

async function client(user) {
    const page = await chrome.visit('/sdk/sdk.html');

    await page.evaluate(async ([app, url, name, sig]) => {
        const tim = TIM.create({ SDKAppID: app, proxyServer: url });
        const ready = new Promise((done) => {
            tim.on(TIM.EVENT.SDK_READY, done);
        });

        window.tim = tim;
        window.got = [];
        window.net = [];

        tim.setLogLevel(4);
        tim.on(TIM.EVENT.MESSAGE_RECEIVED, (event) => {
            event.data.forEach((m) => window.got.push({
                id: m.ID, from: m.from, text: m.payload.text || '' }));
        });
        tim.on(TIM.EVENT.NET_STATE_CHANGE, (event) => {
            window.net.push(event.data.state);
        });

        window.say = async (to, type, text) => {
            const reply = await tim.sendMessage(tim.createTextMessage({
                to, conversationType: type, payload: { text } }));
            return reply.data.message.ID;
        };

        await tim.login({ userID: name, userSig: sig });
        await ready;

    }, [im.app, im.url.replace(/^http/, 'ws'), user, im.usersig(user)]);

    return page;
}

const say = (page, to, type, words) => page.evaluate(
    ([to, type, words]) => window.say(to, type, words), [to, type, words]);

const got = async (page, words) => (await page.waitForFunction(
    (w) => window.got.find((m) => m.text === w), words)).jsonValue();

const join = (page) => page.evaluate(async (id) => {
    const reply = await tim.joinGroup({
        groupID: id, type: TIM.TYPES.GRP_AVCHATROOM });
    return reply.data.status;
}, room);


test('login', async () => {
    await chrome.launch();
    ann = await client('ann');
    bob = await client('bob');
}, 90000);

test('C2C both ways', async () => {
    const id = await say(ann, 'bob', 'C2C', 'hello bob');
    const message = await got(bob, 'hello bob');

    assert.strictEqual(message.id, id);
    assert.strictEqual(message.from, 'ann');

    await say(bob, 'ann', 'C2C', 'hello ann');
    await got(ann, 'hello ann');
});

test('live room both ways', async () => {
    room = await im.room('browser');

    assert.strictEqual(await join(ann), 'JoinedSuccess');
    assert.strictEqual(await join(bob), 'JoinedSuccess');

    const id = await say(ann, room, 'GROUP', 'hello room');

    assert.strictEqual((await got(bob, 'hello room')).id, id);
    await say(bob, room, 'GROUP', 'hello host');
    await got(ann, 'hello host');
    await im.say(room, 'by REST');
    await got(ann, 'by REST');
    await got(bob, 'by REST');
});

test('all workers are killed', async () => {
    await im.kill();
    await say(ann, 'bob', 'C2C', 'after the kill');
    await got(bob, 'after the kill');

    const twice = await bob.evaluate(() => window.got.filter(
        (m) => m.text === 'after the kill').length);

    assert.strictEqual(twice, 1);
}, 90000);

test('no errors in the pages', async () => {
    assert.deepStrictEqual(chrome.problems, []);
    await chrome.close();
});

im.run();
