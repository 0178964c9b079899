// Copyright (C) The ngx_im authors

// permessage-deflate with the client that the web SDK uses in Node.js; TAP.

'use strict';

const WebSocket = require('ws');

const url = process.env.IM_TEST_URL.replace('http', 'ws')
    + '/info?sdkappid=' + process.env.IM_TEST_APP;

const lengths = [0, 40000, 400000, 1000, 0];
const ws = new WebSocket(url, { perMessageDeflate: { threshold: 0 } });

let seq = 0;

function ok(good, name) {
    console.log(`${good ? '' : 'not '}ok - ${name}`);
}

console.log(`1..${lengths.length + 2}`);

ws.on('open', () => {
    ok(ws.extensions === 'permessage-deflate', 'agreed upon');

    lengths.forEach((length, i) => ws.send(JSON.stringify({
        head: { servcmd: 'heartbeat.alive', seq: i },
        body: { padding: 'x'.repeat(length) },
    })));
});

ws.on('message', data => {
    const answer = JSON.parse(data);

    ok(answer.head.seq === seq, `${lengths[seq]} bytes`);

    if (++seq === lengths.length) {
        ws.close();
    }
});

ws.on('close', code => ok(code === 1000 || code === 1005, 'closed'));
ws.on('error', error => console.log('Bail out! ' + error.message));
