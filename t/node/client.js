/*
 * Copyright (C) The ngx_im authors
 */

/*
 * A user of the unmodified web SDK in Node.  Each client has a context of
 * its own with the few things of a browser that the SDK touches, and a
 * WebSocket that a test can cut or hold back.
 */

'use strict';

const fs = require('fs');
const vm = require('vm');
const WebSocket = require('ws');
const im = require('./im');

const script = new vm.Script(
    fs.readFileSync(require.resolve('tim-js-sdk/tim-js-friendship.js'),
                    'utf8'), { filename: 'tim-js-friendship.js' });


/* While net.down is true no socket opens; net.cut() drops the open ones. */

function network() {
    const net = { down: false, sockets: new Set(), opened: 0 };

    net.cut = () => {
        for (const socket of net.sockets) {
            socket.terminate();
        }
    };

    net.Socket = class {
        constructor(url) {
            this.readyState = 0;
            this.ended = false;
            this.begin(url);
        }

        async begin(url) {
            while (net.down && !this.ended) {
                await im.sleep(20);
            }

            if (this.ended) {
                return;
            }

            const socket = new WebSocket(url, { perMessageDeflate: false });

            this.socket = socket;
            socket.binaryType = 'arraybuffer';
            net.sockets.add(socket);

            socket.on('open', () => {
                net.opened++;
                this.readyState = 1;
                this.call('onopen', {});
            });
            socket.on('message', (data, binary) => {
                this.call('onmessage', {
                    data: binary ? data : Buffer.from(data).toString() });
            });
            socket.on('error', (error) => {
                this.call('onerror', { message: error.message });
            });
            socket.on('close', (code) => {
                net.sockets.delete(socket);
                this.readyState = 3;
                this.call('onclose', { code, reason: '' });
            });
        }

        call(name, event) {
            if (this[name]) {
                this[name](event);
            }
        }

        send(data) {
            this.socket.send(data);
        }

        close(code) {
            this.ended = true;

            if (this.socket) {
                this.socket.close(code >= 3000 ? code : 1000);
            }
        }
    };

    return net;
}


/* Answers nothing: the SDK has statistics sent to its maker's host. */

class Request {
    constructor() {
        this.readyState = 0;
        this.status = 0;
        this.upload = {};
    }

    open() {}
    setRequestHeader() {}
    abort() {}

    send() {
        setTimeout(() => {
            this.readyState = 4;
            if (this.onreadystatechange) {
                this.onreadystatechange();
            }
            if (this.onerror) {
                this.onerror({ message: 'no network' });
            }
        }, 1);
    }
}


function load() {
    const net = network();
    const store = new Map();
    const quiet = {};

    for (const name of Object.keys(console)) {
        quiet[name] = process.env.IM_TEST_SDK_LOG
                      ? (...words) => console.error('#', ...words) : () => {};
    }

    const window = {
        navigator: { userAgent: 'Mozilla/5.0 (X11; Linux x86_64) '
                                + 'AppleWebKit/537.36 Chrome/120.0.0.0',
                     cookieEnabled: true, onLine: true },
        document: { charset: 'UTF-8', characterSet: 'UTF-8' },
        location: { href: 'http://localhost/', protocol: 'http:',
                    host: 'localhost', origin: 'http://localhost' },
        localStorage: {
            getItem: (k) => store.has(k) ? store.get(k) : null,
            setItem: (k, v) => { store.set(k, String(v)); },
            removeItem: (k) => { store.delete(k); },
            clear: () => { store.clear(); } },
        addEventListener() {},
        removeEventListener() {},
        performance: {},
        console: quiet,
        WebSocket: net.Socket,
        XMLHttpRequest: Request,
        HTMLInputElement: class {},
        Image: class {},
        Blob, URL, TextDecoder, TextEncoder,
        setTimeout, clearTimeout, setInterval, clearInterval,
        module: { exports: {} }
    };

    window.window = window;
    window.exports = window.module.exports;

    vm.createContext(window);
    script.runInContext(window);

    const TIM = window.module.exports.default || window.module.exports;

    return { TIM, net };
}


class Client {

    constructor(user, options) {
        const { TIM, net } = load();

        this.user = user;
        this.net = net;
        this.T = TIM.TYPES;
        this.events = [];

        this.tim = TIM.create({
            SDKAppID: im.app, proxyServer: im.url.replace(/^http/, 'ws'),
            ...options });
        this.tim.setLogLevel(process.env.IM_TEST_SDK_LOG ? 0 : 4);

        for (const [name, event] of Object.entries(TIM.EVENT)) {
            this.tim.on(event, (one) => {
                this.events.push({ name, data: one.data });
            });
        }
    }

    /* The data of the first event of that kind, from number from on, that
     * the test accepts. */

    event(name, accepts, from, ms) {
        const begin = from || 0;

        return im.until(() => {
            const found = this.events.slice(begin).find(
                (e) => e.name === name && (!accepts || accepts(e.data)));
            return found && { data: found.data };
        }, this.user + ' gets ' + name, ms).then((found) => found.data);
    }

    has(name, accepts, from) {
        return this.events.slice(from || 0).some(
            (e) => e.name === name && (!accepts || accepts(e.data)));
    }

    now() {
        return this.events.length;
    }

    async login(sig) {
        const from = this.now();
        const reply = await this.tim.login({
            userID: this.user, userSig: sig || im.usersig(this.user) });

        await this.event('SDK_READY', null, from);

        return reply.data;
    }

    async send(to, words, options, type) {
        const message = this.tim.createTextMessage({
            to, conversationType: type || this.T.CONV_C2C,
            payload: { text: words }, ...options });

        return (await this.tim.sendMessage(message)).data.message;
    }

    say(group, words, options) {
        return this.send(group, words, options, this.T.CONV_GROUP);
    }

    /* The message with this text that has come. */

    async got(words, from, ms) {
        const list = await this.event('MESSAGE_RECEIVED',
            (l) => l.some((m) => m.payload && m.payload.text === words),
            from, ms);

        return list.find((m) => m.payload.text === words);
    }

    async conversation(id) {
        const reply = await this.tim.getConversationList();
        return reply.data.conversationList.find(
            (c) => c.conversationID === id);
    }

    /* The texts of the whole history with a peer, oldest first. */

    async history(id) {
        const texts = [];
        let key;

        for (let pages = 0; pages < 50; pages++) {
            const reply = await this.tim.getMessageList({
                conversationID: id, nextReqMessageID: key });

            texts.unshift(...reply.data.messageList.map(
                (m) => m.isRevoked ? null : m.payload.text));

            if (reply.data.isCompleted) {
                return texts;
            }

            key = reply.data.nextReqMessageID;
        }

        throw new Error('history of ' + id + ' has no end');
    }
}

module.exports = { Client };
