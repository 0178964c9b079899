/*
 * Copyright (C) The ngx_im authors
 */

/*
 * What the tests in JavaScript have in common: TAP, commands of the
 * administrator, UserSigs.  t/lib/Test/IM/Node.pm sets the environment.
 */

'use strict';

const crypto = require('crypto');
const fs = require('fs');
const zlib = require('zlib');

const url = process.env.IM_TEST_URL;
const app = Number(process.env.IM_TEST_APP || 1400000001);
const key = process.env.IM_TEST_KEY;
const admin = process.env.IM_TEST_ADMIN || 'administrator';

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));


/* --- TAP --- */

const tests = [];

function test(name, fn, ms) {
    tests.push({ name, fn, ms: ms || 40000 });
}

function within(promise, ms, what) {
    let timer;

    const late = new Promise((done, fail) => {
        timer = setTimeout(() => fail(new Error(what + ': no end in ' + ms
                                                + ' ms')), ms);
    });

    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/* Runs the tests one after the other; only a failed first one stops them. */

async function run() {
    let failed = 0;
    let n = 0;

    process.on('unhandledRejection', (error) => {
        console.log('# unhandled: ' + (error && error.code || '') + ' '
                    + String(error).replace(/\n/g, '\n# '));
    });

    console.log('1..' + tests.length);

    for (const one of tests) {
        n++;

        try {
            await within(one.fn(), one.ms, one.name);
            console.log('ok ' + n + ' - ' + one.name);

        } catch (error) {
            failed++;
            console.log('not ok ' + n + ' - ' + one.name);
            console.log('# ' + String(error && error.stack
                                      || JSON.stringify(error))
                               .replace(/\n/g, '\n# '));

            if (n === 1) {
                console.log('Bail out! nothing works without it');
                break;
            }
        }
    }

    process.exit(failed ? 1 : 0);
}

/* Calls fn until it answers something true; that is the answer. */

async function until(fn, what, ms) {
    const end = Date.now() + (ms || 10000);

    for ( ;; ) {
        const value = await fn();

        if (value) {
            return value;
        }

        if (Date.now() > end) {
            throw new Error('in vain: ' + (what || fn));
        }

        await sleep(30);
    }
}


/* --- the server --- */

function usersig(user, seconds) {
    const time = Math.floor(Date.now() / 1000);
    const expire = seconds === undefined ? 86400 : seconds;
    const sig = crypto.createHmac('sha256', key)
        .update('TLS.identifier:' + user + '\nTLS.sdkappid:' + app
                + '\nTLS.time:' + time + '\nTLS.expire:' + expire + '\n')
        .digest('base64');
    const text = JSON.stringify({
        'TLS.ver': '2.0', 'TLS.identifier': user, 'TLS.sdkappid': app,
        'TLS.time': time, 'TLS.expire': expire, 'TLS.sig': sig });

    return zlib.deflateSync(text).toString('base64')
           .replace(/[+/=]/g, (c) => ({ '+': '*', '/': '-', '=': '_' })[c]);
}

/* A command of the administrator; throws if its code is not 0. */

async function rest(command, body) {
    const query = new URLSearchParams({
        sdkappid: app, identifier: admin, usersig: usersig(admin),
        random: crypto.randomInt(1, 2 ** 32), contenttype: 'json' });
    const reply = await fetch(url + '/v4/' + command + '?' + query, {
        method: 'POST', body: JSON.stringify(body),
        signal: AbortSignal.timeout(10000) });
    const data = await reply.json();

    if (data.ErrorCode !== 0) {
        const error = new Error(command + ': ' + data.ErrorInfo + ' ('
                                + data.ErrorCode + ')');
        error.code = data.ErrorCode;
        throw error;
    }

    return data;
}

async function users(...names) {
    for (const name of names) {
        await rest('im_open_login_svc/account_import', { UserID: name });
    }
}

/* A live room. */

async function room(id, more) {
    const reply = await rest('group_open_http_svc/create_group', {
        Type: 'AVChatRoom', GroupId: id, Name: id, ...more });

    return reply.GroupId;
}

function text(words) {
    return [{ MsgType: 'TIMTextElem', MsgContent: { Text: words } }];
}

/* The administrator writes to a room, in the name of a user if there is
 * one. */

function say(id, words, from) {
    return rest('group_open_http_svc/send_group_msg', {
        GroupId: id, Random: crypto.randomInt(1, 2 ** 31),
        MsgBody: typeof words === 'string' ? text(words) : words,
        ...(from ? { From_Account: from } : {}) });
}

function workers() {
    const master = process.env.IM_TEST_PID;
    const pids = fs.readFileSync('/proc/' + master + '/task/' + master
                                 + '/children', 'utf8').match(/\d+/g) || [];

    return pids.filter((pid) => {
        try {
            return fs.readFileSync('/proc/' + pid + '/cmdline', 'utf8')
                     .includes('worker process');
        } catch (error) {
            return false;
        }
    }).map(Number);
}

/* Kills all workers, so that no connection is left. */

async function kill() {
    const old = workers();

    old.forEach((pid) => process.kill(pid, 'SIGKILL'));

    await until(() => {
        const now = workers();
        return now.length >= old.length
               && !now.some((pid) => old.includes(pid));
    }, 'new workers');
}

module.exports = { url, app, admin, test, run, until, within, sleep, usersig,
                   rest, users, room, text, say, workers, kill };
