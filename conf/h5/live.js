/*
 * Copyright (C) The ngx_im authors
 */

/*
 * The page of a live room: index.html?room=ID&app=SDKAppID.
 *
 * A guest listens to Server-Sent Events, or polls where these are not to be
 * had.  Who signs in has a WebSocket instead, and can write.
 * Whatever comes from a message goes into the page as text only.
 */

(function () {
'use strict';

const KEEP = 200;                 /* messages in the page */
const TEXT_MAX = 4000;            /* characters shown of one */
const NAME_MAX = 64;

const JOIN = '/v1/group_open_http_noauth_svc/apply_join_group';
const POLL = '/v1/group_open_long_polling_http_noauth_svc/get_msg';

const E_NOT_ALLOWED = 10007;
const E_NO_GROUP = 10010;
const E_MEMBER = 10013;

const $ = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));


/* --- helpers --- */

/* 1, 2, 4 ... 30 seconds, less up to a third, so that not all come at once */

function backoff(tries) {
    return Math.min(30000, 1000 * 2 ** Math.min(tries, 5))
           * (1 - Math.random() / 3);
}


function cut(value, max) {
    const text = typeof value === 'string' ? value
                 : value === undefined || value === null ? ''
                 : String(value);

    return text.length > max ? text.slice(0, max) + '…' : text;
}


function random(max) {
    return crypto.getRandomValues(new Uint32Array(1))[0] % max;
}


function instance() {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)),
                      (b) => b.toString(16).padStart(2, '0')).join('');
}


/* The answer of a command as an object; throws if there is none in time. */

async function post(path, app, body, ms, stop) {
    const abort = new AbortController();
    const end = () => abort.abort();
    const timer = setTimeout(end, ms);

    if (stop) {
        stop.addEventListener('abort', end);
    }

    try {
        /* a text needs no question in advance where the server is another */

        const reply = await fetch(path + '?sdkappid=' + app, {
            method: 'POST', body: JSON.stringify(body), cache: 'no-store',
            credentials: 'omit', signal: abort.signal,
            headers: { 'Content-Type': 'text/plain;charset=UTF-8' } });

        if (!reply.ok) {
            throw failure(reply.status);
        }

        return await reply.json();

    } finally {
        clearTimeout(timer);

        if (stop) {
            stop.removeEventListener('abort', end);
        }
    }
}


/* --- what is shown --- */

const page = {
    rows: [],                     /* { li, time, seq }, oldest first */
    seen: new Set(),
    stuck: true,                  /* the newest message is in view */
    unread: 0,
    last: 0,                      /* number of the newest message */
    user: null,
    closed: null                  /* called when the room has been closed */
};


function state(kind, text) {
    $('state').dataset.state = kind;

    if ($('state-text').textContent !== text) {
        $('state-text').textContent = text;
    }
}


function note(text) {
    $('note').textContent = text || '';
    $('note').hidden = !text;
}


function title(text) {
    const name = cut(text, 100);

    $('title').textContent = name;
    document.title = name + ' · live';
}


function audience(n) {
    n = Number(n);

    if (Number.isSafeInteger(n) && n >= 0) {
        $('count').textContent = n.toLocaleString();
        $('audience').hidden = false;
    }
}


function element(tag, name, text) {
    const e = document.createElement(tag);

    if (name) {
        e.className = name;
    }

    if (text !== undefined) {
        e.textContent = text;
    }

    return e;
}


function link(url, text) {
    const a = element('a', '', text);

    a.href = url;
    a.target = '_blank';
    a.rel = 'noopener noreferrer nofollow';

    return a;
}


function web(url) {
    return typeof url === 'string' && /^https?:\/\//i.test(url)
           && url.length < 4096;
}


function other(label, text, url) {
    const name = cut(text, 200);
    const p = element('div', 'other', name ? label + ':' : label);

    if (web(url)) {
        p.append(' ', link(url, name || 'Open'));

    } else if (name) {
        p.append(' ' + name);
    }

    return p;
}


function image(content) {
    const list = (Array.isArray(content.ImageInfoArray)
                  ? content.ImageInfoArray : []).filter((i) => i && web(i.URL));
    const of = (type) => list.find((i) => i.Type === type);
    const small = of(3) || of(2) || list[0];

    if (!small) {
        return other('Image', '');
    }

    const img = element('img');

    img.alt = 'Image';
    img.loading = 'lazy';
    img.decoding = 'async';
    img.referrerPolicy = 'no-referrer';
    img.addEventListener('load', follow);
    img.addEventListener('error', () => {
        img.replaceWith(other('Image', ''));
    });
    img.src = small.URL;

    const a = link((of(1) || small).URL);

    a.append(img);

    return a;
}


function part(e) {
    const c = e && typeof e.MsgContent === 'object' && e.MsgContent || {};

    switch (e && e.MsgType) {

    case 'TIMTextElem':
        return element('div', 'text', cut(c.Text, TEXT_MAX));

    case 'TIMFaceElem':
        return other('Face', c.Data || '#' + cut(c.Index, 12));

    case 'TIMCustomElem':
        return other('Custom message', c.Desc || c.Data);

    case 'TIMImageElem':
        return image(c);

    case 'TIMLocationElem':
        return other('Location', c.Desc || c.Latitude + ', ' + c.Longitude);

    case 'TIMSoundElem':
        return other('Sound', c.Second ? cut(c.Second, 8) + ' s' : '', c.Url);

    case 'TIMVideoFileElem':
        return other('Video', c.VideoSecond ? cut(c.VideoSecond, 8) + ' s'
                                            : '', c.VideoUrl);

    case 'TIMFileElem':
        return other('File', c.FileName, c.Url);

    case 'TIMRelayElem':
        return other('Messages', c.Title || c.CompatibleText);

    default:
        return other('A message that this page cannot show', '');
    }
}


function clock(seconds) {
    const time = element('time');
    const date = new Date(seconds * 1000);

    if (!isNaN(date)) {
        time.dateTime = date.toISOString();
        time.title = date.toLocaleString();
        time.textContent = date.toLocaleTimeString([], {
            hour: '2-digit', minute: '2-digit', second: '2-digit' });
    }

    return time;
}


function follow() {
    if (page.stuck) {
        $('log').scrollTop = $('log').scrollHeight;
    }
}


/* Puts the line where its time and number belong, mostly at the end. */

function place(li, time, seq) {
    const rows = page.rows;
    let i = rows.length;

    while (i > 0 && (rows[i - 1].time > time
                     || (rows[i - 1].time === time && rows[i - 1].seq > seq)))
    {
        i--;
    }

    $('log').insertBefore(li, i < rows.length ? rows[i].li : null);
    rows.splice(i, 0, { li, time, seq });

    while (rows.length > KEEP) {
        rows.shift().li.remove();
    }

    $('empty').hidden = true;

    if (page.stuck) {
        follow();
        return;
    }

    page.unread++;
    $('newer').textContent = page.unread + ' new';
    $('newer').hidden = false;
}


function shown(item) {
    const seen = page.seen;
    const random = item.MsgRandom === undefined ? item.Random
                                                : item.MsgRandom;
    const id = item.MsgSeq + '/' + random;

    if (seen.has(id)) {
        return true;
    }

    seen.add(id);

    if (seen.size > 1000) {
        seen.delete(seen.values().next().value);
    }

    return false;
}


function message(item, time, seq) {
    const info = item.GroupInfo || {};
    const extra = info.MsgFrom_AccountExtraInfo || {};
    const li = element('li', 'message');
    const head = element('div', 'head');
    const from = cut(item.From_Account, NAME_MAX);
    const name = element('span', 'name',
                         cut(extra.NameCard || info.From_AccountNick || from,
                             NAME_MAX));

    if (page.user !== null && item.From_Account === page.user) {
        li.classList.add('mine');
    }

    name.title = from;
    head.append(name, clock(time));
    li.append(head);

    for (const e of item.MsgBody.slice(0, 20)) {
        li.append(part(e));
    }

    place(li, time, seq);
}


/* Who comes and goes is told in one line, as long as nothing else happens. */

function people(li) {
    const names = li.names.slice(-3);
    const more = li.names.length - names.length;

    li.textContent = names.join(', ') + (more ? ' and ' + more + ' more' : '')
                     + (li.op === 1 ? ' joined' : ' left');
}


function tip(body, time, seq) {
    const extra = Array.isArray(body.MsgMemberExtraInfo)
                  ? body.MsgMemberExtraInfo : [];
    const accounts = Array.isArray(body.List_Account) ? body.List_Account
                     : [body.Operator_Account];
    const names = accounts.slice(0, 500).map((account) => {
        const one = extra.find((e) => e && e.User_Account === account);
        return cut(one && one.NickName || account, NAME_MAX);
    });
    const info = body.MsgGroupNewInfo || {};
    const last = page.rows[page.rows.length - 1];
    const li = element('li', 'tip');
    let text;

    switch (body.OpType) {

    case 1:
    case 2:
        if (last && last.li.op === body.OpType) {
            const all = last.li.names.concat(names);

            last.li.names = all.filter((n, i) => all.lastIndexOf(n) === i)
                               .slice(-1000);
            people(last.li);
            return;
        }

        li.op = body.OpType;
        li.names = names;
        people(li);
        place(li, time, seq);
        return;

    case 3:
    case 10:
        text = names.slice(0, 3).join(', ') + ' was removed';
        break;

    case 6:
        if (info.GroupName) {
            title(info.GroupName);
        }

        text = info.GroupNotification ? cut(info.GroupNotification, 300)
               : info.GroupName ? 'The room is now called '
                                  + cut(info.GroupName, 100)
               : info.ShutupAll === 1 ? 'Writing was turned off'
               : info.ShutupAll === 0 ? 'Writing was turned on' : '';
        break;
    }

    if (text) {
        li.textContent = text;
        place(li, time, seq);
    }
}


function notice(body, item, time, seq) {
    const text = body.ReportType === 5 || body.ReportType === 11
                 ? 'The room was closed'
                 : body.ReportType === 21 ? 'You were removed from the room'
                 : body.ReportType === 255
                   ? cut(body.UserDefinedField || item.UserDefinedField, 1000)
                 : '';

    if (text) {
        place(element('li', 'tip', text), time, seq);
    }

    if (body.ReportType === 5 || body.ReportType === 11) {
        page.closed();
    }
}


/* An element of a room, as web SDKs get it. */

function show(item, room) {
    if (!item || typeof item !== 'object' || item.IsPlaceMsg === 1
        || (item.ToGroupId !== undefined && item.ToGroupId !== room))
    {
        return;
    }

    const body = item.MsgBody;
    const time = Number(item.MsgTimeStamp) || Math.floor(Date.now() / 1000);
    const seq = Number(item.MsgSeq) || 0;

    if (!body || typeof body !== 'object') {
        return;
    }

    if (body.OnlineMemberInfo) {
        audience(body.OnlineMemberInfo.OnlineMemberNum);
    }

    page.last = Math.max(page.last, seq);

    if (shown(item)) {
        return;
    }

    if (item.GroupInfo && item.GroupInfo.GroupName) {
        title(item.GroupInfo.GroupName);
    }

    if (Array.isArray(body)) {
        message(item, time, seq);

    } else if (body.ReportType !== undefined) {
        notice(body, item, time, seq);

    } else {
        tip(body, time, seq);
    }
}


function showall(list, room) {
    if (Array.isArray(list)) {
        list.slice().sort((a, b) => a.MsgSeq - b.MsgSeq)
            .forEach((item) => show(item, room));
    }
}


/* The failure of a request, with its HTTP status. */

function failure(status) {
    const error = new Error('HTTP ' + status);

    error.status = status;

    return error;
}


/*
 * Server-Sent Events, until they end; begins after the newest message that
 * the page has.  Not an EventSource: that one tells no status, and begins
 * where it is only if the connection was lost while it was there.
 */

async function stream(app, room, signal, heard) {
    const url = '/rooms/' + app + '/' + encodeURIComponent(room) + '/events';
    const headers = { Accept: 'text/event-stream' };

    if (page.last) {
        headers['Last-Event-ID'] = String(page.last);
    }

    const reply = await fetch(url, { headers, signal, cache: 'no-store',
                                     credentials: 'omit' });
    const type = reply.headers.get('Content-Type') || '';

    if (!reply.ok || !type.startsWith('text/event-stream')) {
        throw failure(reply.ok ? 404 : reply.status);
    }

    const reader = reply.body.getReader();
    const decoder = new TextDecoder();
    let text = '';

    for ( ;; ) {
        heard();

        const { done, value } = await reader.read();

        if (done) {
            return;
        }

        text += decoder.decode(value, { stream: true });

        const events = text.split(/\r?\n\r?\n/);

        text = events.pop();

        if (text.length > 1000000) {
            throw new Error('too large');
        }

        events.forEach((event) => accept(event, room));
    }
}


function accept(event, room) {
    const named = /^event: ?(.*)$/m.exec(event);
    const data = event.split(/\r?\n/).filter((line) => /^data:/.test(line))
                      .map((line) => line.slice(5)).join('\n');

    if (!data) {
        return;
    }

    try {
        if (named && named[1] === 'audience') {
            audience(JSON.parse(data).OnlineMemberNum);
            return;
        }

        show(JSON.parse(data), room);

    } catch (error) {
        console.warn('bad event', error);
    }
}


/* What was sent while there was no connection. */

async function missed(app, room) {
    const abort = new AbortController();

    if (!page.last) {
        return;
    }

    setTimeout(() => abort.abort(), 2000);

    try {
        await stream(app, room, abort.signal, () => {});

    } catch (error) {
        /* it always ends so */
    }
}


/* --- a guest --- */

class Guest {

    constructor(app, room) {
        this.app = app;
        this.room = room;
        this.tries = 0;
        this.running = false;
        this.waited = false;      /* for the room to be made */
        this.timer = 0;
        this.abort = null;        /* of this try */
    }

    start() {
        this.running = true;
        this.listen();
    }

    stop() {
        this.running = false;
        this.end();
    }

    end() {
        clearTimeout(this.timer);

        if (this.abort) {
            this.abort.abort();
            this.abort = null;
        }
    }

    again(text, ms) {
        this.end();

        if (this.running) {
            state('wait', text);
            this.timer = setTimeout(() => this.listen(),
                                    ms || backoff(this.tries++));
        }
    }

    /* Drops what there is and begins anew. */

    renew() {
        if (this.running) {
            state('wait', 'Reconnecting …');
            this.listen();
        }
    }

    /* The room was closed; another one of this name counts from 1 again. */

    closed() {
        this.again('The room was closed.  Waiting for it …', 2000);
    }

    live() {
        this.tries = 0;
        state('live', 'Joined as a guest');
    }

    /* Server-Sent Events; the server pings twice a minute. */

    async listen() {
        const abort = new AbortController();
        let status = 0;

        this.end();
        this.abort = abort;
        this.timer = setTimeout(() => this.renew(), 20000);

        const heard = () => {
            if (abort === this.abort) {
                this.live();

                if (this.waited) {
                    this.waited = false;
                    this.first();
                }

                clearTimeout(this.timer);
                this.timer = setTimeout(() => this.renew(), 90000);
            }
        };

        try {
            await stream(this.app, this.room, abort.signal, heard);

        } catch (error) {
            status = error.status || 0;
        }

        if (abort !== this.abort) {
            return;
        }

        if (status >= 400 && status < 500) {
            this.join();

        } else {
            this.again('Connection lost.  Reconnecting …');
        }
    }

    /* What was said in a new room before the page saw that it is there. */

    async first() {
        try {
            const join = await post(JOIN, this.app, { GroupId: this.room },
                                    10000);
            const reply = await post(POLL, this.app, {
                Key: join.LongPollingKey, StartSeq: 1, HoldTime: 5 }, 10000);

            showall(reply.RspMsgList, this.room);

        } catch (error) {
            console.info('no first messages', error);
        }
    }

    /* Tells why there are no events, or else begins to poll. */

    async join() {
        const abort = new AbortController();
        let reply;

        this.end();
        this.abort = abort;

        try {
            reply = await post(JOIN, this.app, { GroupId: this.room }, 15000,
                               abort.signal);
        } catch (error) {
            reply = { ErrorCode: -1, ErrorInfo: error.message };
        }

        if (abort !== this.abort) {
            return;
        }

        switch (reply.ErrorCode) {

        case 0:
            break;

        case E_NO_GROUP:
            page.last = 0;
            this.waited = true;
            this.again('The room “' + cut(this.room, 48) + '” does not exist '
                       + 'yet.  Waiting for it …', 2000);
            return;

        case E_NOT_ALLOWED:
            this.end();
            state('bad', 'The room “' + cut(this.room, 48) + '” is not open '
                         + 'to guests.');
            this.timer = setTimeout(() => this.listen(), 30000);
            return;

        case -1:
            this.again('No connection.  Trying again …');
            return;

        default:
            this.again('Joining failed: ' + cut(reply.ErrorInfo, 200) + ' ('
                       + reply.ErrorCode + ').  Trying again …');
            return;
        }

        if (!reply.LongPollingKey) {
            this.again('The room cannot be joined now.  Trying again …');
            return;
        }

        this.poll(abort, reply.LongPollingKey);
    }

    /* Long polls */

    async poll(abort, key) {
        let seq = page.last ? page.last + 1 : this.waited ? 1 : undefined;
        let hold = 60;
        let bad = 0;

        this.waited = false;
        this.live();

        while (abort === this.abort) {
            const begin = Date.now();
            let reply;

            try {
                reply = await post(POLL, this.app, {
                    Key: key, StartSeq: seq, HoldTime: hold },
                                   (hold + 10) * 1000, abort.signal);
            } catch (error) {
                reply = { ErrorCode: -1, status: error.status };
            }

            if (abort !== this.abort) {
                return;
            }

            if (reply.ErrorCode !== 0 || !reply.Key) {

                /* 403: the key has expired */

                if (++bad > 3 || reply.status === 403) {
                    this.again('Connection lost.  Reconnecting …');
                    return;
                }

                state('wait', 'Connection lost.  Reconnecting …');
                await sleep(backoff(bad));
                continue;
            }

            bad = 0;
            key = reply.Key;
            seq = reply.NextSeq;
            hold = Math.min(Math.max(Number(reply.HoldTime) || 60, 10), 120);
            this.live();
            showall(reply.RspMsgList, this.room);

            if (Date.now() - begin < 300
                && !(reply.RspMsgList && reply.RspMsgList.length))
            {
                await sleep(1000);
            }
        }
    }
}


/* --- a user: the protocol of web SDK 2.x, as much as the page needs --- */

class User {

    constructor(app, room, user, sig) {
        this.app = app;
        this.room = room;
        this.user = user;
        this.sig = sig;
        this.instance = instance();
        this.seq = random(100000000);
        this.open = new Map();    /* requests that wait for an answer */
        this.socket = null;
        this.a2 = null;
        this.tries = 0;
        this.failed = null;
        this.timers = new Set();
        this.running = false;
        this.ended = null;        /* called with a text: signed out */
        this.ready = null;        /* called at the first join, or failure */
    }

    start() {
        this.running = true;
        this.connect();
    }

    stop() {
        this.running = false;
        this.drop();
    }

    drop() {
        const socket = this.socket;

        this.quiet();
        this.socket = null;

        for (const [, one] of this.open) {
            one.fail(new Error('no connection'));
        }

        this.open.clear();

        if (socket) {
            socket.close(4000);
        }
    }

    after(ms, fn) {
        const timer = setTimeout(() => {
            this.timers.delete(timer);
            fn();
        }, ms);

        this.timers.add(timer);
    }

    quiet() {
        this.timers.forEach((timer) => clearTimeout(timer));
        this.timers.clear();
    }

    connect() {
        const url = new URL('/info', location.href);

        url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
        url.search = new URLSearchParams({
            sdkappid: this.app, instanceid: this.instance,
            random: Math.random(), platform: 7, host: 'unknown', version: -1,
            sdkversion: 'h5' });

        const socket = new WebSocket(url);

        this.drop();
        this.socket = socket;
        this.after(15000, () => this.lost(socket));

        socket.onopen = () => {
            if (socket === this.socket) {
                this.quiet();
                this.heard = Date.now();
                this.beat();
                this.login();
            }
        };

        socket.onmessage = (event) => {
            if (socket === this.socket) {
                this.heard = Date.now();
                this.frame(event.data);
            }
        };

        socket.onclose = () => this.lost(socket);
    }

    lost(socket) {
        if (socket !== this.socket || !this.running) {
            return;
        }

        this.drop();

        if (this.ready && !this.a2 && this.tries > 1) {
            this.end('No connection.');
            return;
        }

        this.status('wait', 'Connection lost.  Reconnecting …');
        this.after(backoff(this.tries++), () => this.connect());
    }

    status(kind, text) {
        if (!this.ready) {
            state(kind, text);
        }
    }

    end(text) {
        this.stop();
        this.ended(text);
    }

    request(name, body) {
        const seq = this.seq++;
        const head = {
            ver: 'v4', platform: 7, websdkappid: 537048168,
            websdkversion: '1.7.3', status_instid: this.inst || 0,
            sdkappid: this.app, contenttype: 'json',
            reqtime: Math.floor(Date.now() / 1000), sdkability: 0,
            tjgID: '', servcmd: name, seq };

        if (this.a2) {
            head.a2 = this.a2;
            head.tinyid = this.tinyid;

        } else {
            head.identifier = this.user;
            head.usersig = this.sig;
        }

        return new Promise((done, fail) => {
            const socket = this.socket;

            if (!socket || socket.readyState !== WebSocket.OPEN) {
                fail(new Error('no connection'));
                return;
            }

            const timer = setTimeout(() => {
                this.open.delete(name + seq);
                fail(new Error('no answer'));
            }, 15000);

            this.open.set(name + seq, {
                done(reply) { clearTimeout(timer); done(reply); },
                fail(error) { clearTimeout(timer); fail(error); } });

            socket.send(JSON.stringify({ head, body }));
        });
    }

    /* As request(), but a code that is not 0 is thrown. */

    async command(name, body) {
        const reply = await this.request(name, body);

        if (reply.ErrorCode) {
            const error = new Error(cut(reply.ErrorInfo, 300) || 'error');
            error.code = reply.ErrorCode;
            throw error;
        }

        return reply;
    }

    frame(data) {
        let head, body;

        try {
            ({ head, body } = JSON.parse(data));

        } catch (error) {
            console.warn('bad frame', error);
            return;
        }

        if (!head || !body) {
            return;
        }

        const one = this.open.get(head.servcmd + head.seq);

        if (one) {
            this.open.delete(head.servcmd + head.seq);
            one.done(body);
            return;
        }

        switch (head.servcmd) {

        case 'im_open_push.msg_push':
        case 'im_open_push.multi_msg_push_ws':
            if (body.NeedAck) {
                this.request('openim.ws_msg_push_ack', {
                    SessionData: body.SessionData }).catch(() => {});
                this.open.delete('openim.ws_msg_push_ack' + (this.seq - 1));
            }

            this.events(body.EventArray);
            return;

        case 'im_open_status.stat_forceoffline':
            this.end('You were signed out: signed in somewhere else, or '
                     + 'by an administrator.');
            return;

        case 'StatSvc.KickOther':
            this.login();
            return;
        }
    }

    events(list) {
        if (!Array.isArray(list)) {
            return;
        }

        for (const event of list) {
            for (const items of [event.GroupMsgArray, event.GroupTips]) {
                if (Array.isArray(items)) {
                    items.forEach((item) => show(item, this.room));
                }
            }
        }
    }

    beat() {
        const socket = this.socket;
        const silent = Date.now() - this.heard;

        this.after(5000, () => this.beat());

        if (silent < 10000) {
            return;
        }

        const asked = Date.now();

        this.request('heartbeat.alive', {}).catch(() => {});
        this.after(5000, () => {
            if (this.heard < asked) {
                this.lost(socket);
            }
        });
    }

    hello(seconds) {
        this.after(seconds * 1000, () => {
            this.command('im_open_status.wshello', { is_web_uniapp: 0 })
                .catch((error) => this.refused(error));
            this.hello(seconds);
        });
    }

    refused(error) {
        if (error.code === 70001 || error.code === 1002
            || error.code === 6014)
        {
            this.end('You were signed out: ' + error.message + ' ('
                     + error.code + ')');
            return true;
        }

        return false;
    }

    async login() {
        const socket = this.socket;

        try {
            const reply = await this.command('im_open_status.wslogin', {
                State: 'Online', is_web_uniapp: 0, InstType: 0 });

            this.a2 = reply.A2Key;
            this.tinyid = reply.TinyId;
            this.inst = reply.InstId;

            this.hello(Math.max(Number(reply.HelloInterval) || 30, 5));

        } catch (error) {
            if (socket !== this.socket || this.refused(error)) {
                return;
            }

            if (error.code && !this.a2) {
                this.end(error.message + ' (' + error.code + ')');
                return;
            }

            this.lost(socket);
            return;
        }

        this.join(socket);
    }

    async join(socket) {
        let reply;

        try {
            reply = await this.command(
                'group_open_http_svc.apply_join_group', {
                    GroupId: this.room, ApplyMsg: '', WebPushFlag: 1,
                    HugeGroupHistoryMsgFlag: 1 });

        } catch (error) {
            if (socket !== this.socket || this.refused(error)) {
                return;
            }

            if (!error.code) {
                this.lost(socket);
                return;
            }

            if (error.code !== E_MEMBER) {
                this.begin();
                this.status('wait', error.code === E_NO_GROUP
                            ? 'The room does not exist yet.  Waiting for it …'
                            : 'Joining failed: ' + error.message + ' ('
                              + error.code + ').  Trying again …');
                this.after(error.code === E_NO_GROUP ? 2000 : 15000,
                           () => this.join(socket));
                return;
            }

            reply = {};
        }

        if (socket !== this.socket) {
            return;
        }

        this.tries = 0;
        this.begin();
        this.status('live', 'Joined as ' + cut(this.user, NAME_MAX));

        showall(reply.RspMsgList, this.room);
        missed(this.app, this.room);
        this.count(socket);
    }

    begin() {
        const ready = this.ready;

        this.ready = null;

        if (ready) {
            ready();
        }
    }

    async count(socket) {
        try {
            const reply = await this.command(
                'group_open_http_svc.get_online_member_num', {
                    GroupId: this.room });

            audience(reply.OnlineMemberNum);

        } catch (error) {
            /* the number of the last tip stays */
        }

        if (socket === this.socket) {
            this.after(20000, () => this.count(socket));
        }
    }

    /* The room is gone: waits for a new one. */

    renew() {
        const socket = this.socket;

        if (this.running && socket) {
            this.status('wait', 'The room was closed.  Waiting for it …');
            this.after(2000, () => this.join(socket));
        }
    }

    /* Sent again with the same numbers, a text is not doubled. */

    async send(text) {
        const old = this.failed;
        const one = old && old.text === text && Date.now() - old.time < 240000
                    ? old
                    : { text, random: random(99999999), seq: this.seq,
                        time: Date.now() };

        this.failed = one;

        const body = [{ MsgType: 'TIMTextElem', MsgContent: { Text: text } }];
        let reply;

        try {
            reply = await this.command('group_open_http_svc.send_group_msg', {
                GroupId: this.room, Random: one.random, ClientSeq: one.seq,
                MsgPriority: 'Normal', MsgBody: body, CloudCustomData: '',
                OnlineOnlyFlag: 0, NeedReadReceipt: 0,
                MsgClientTime: Math.floor(one.time / 1000) });

        } catch (error) {
            if (error.code) {
                this.failed = null;
                this.refused(error);
            }

            throw error;
        }

        this.failed = null;

        show({ From_Account: this.user, ToGroupId: this.room,
               MsgSeq: reply.MsgSeq, MsgRandom: one.random,
               MsgTimeStamp: reply.MsgTime, MsgBody: body }, this.room);
    }

    async logout() {
        try {
            await Promise.race([this.request('im_open_status.wslogout', {
                wslogout_type: 0 }), sleep(1000)]);

        } catch (error) {
            /* it ends anyway */
        }

        this.stop();
    }
}


/* --- the page --- */

async function appid(query) {
    const given = query.get('app');

    if (given !== null) {
        return given;
    }

    for (let tries = 0; ; tries++) {
        try {
            const reply = await fetch('/h5.json', { cache: 'no-store' });

            if (reply.ok) {
                return (await reply.json()).SDKAppID;
            }

            if (reply.status === 404) {
                return null;
            }

        } catch (error) {
            /* again */
        }

        state('wait', 'No connection.  Trying again …');
        await sleep(backoff(tries));
    }
}


async function main() {
    const query = new URLSearchParams(location.search);
    const room = query.get('room') || 'live';

    title(room);

    const app = Number(await appid(query));

    if (!Number.isSafeInteger(app) || app <= 0 || room.length > 100) {
        state('bad', 'The address of this page needs ?app=SDKAppID&room=ID');
        return;
    }

    const guest = new Guest(app, room);
    let user = null;

    page.closed = () => {
        page.last = 0;

        if (user && !user.ready) {
            user.renew();

        } else {
            guest.closed();
        }
    };

    function busy(on) {
        $('enter').disabled = on;
        $('enter').textContent = on ? 'Signing in …' : 'Sign in';
    }

    function fail(text) {
        $('login-error').textContent = text || '';
        $('login-error').hidden = !text;
    }

    function watch() {
        user = null;
        page.user = null;
        $('composer').hidden = true;
        $('guest').hidden = false;
        guest.stop();
        state('wait', 'Joining …');
        guest.start();
    }

    $('open').addEventListener('click', () => {
        fail('');
        busy(false);
        $('login').showModal();
    });

    function cancel() {
        if (user && user.ready) {
            user.stop();
            user = null;
        }
    }

    $('cancel').addEventListener('click', () => $('login').close());
    $('login').addEventListener('close', cancel);

    $('login-form').addEventListener('submit', (event) => {
        event.preventDefault();
        cancel();
        fail('');
        busy(true);

        const one = new User(app, room, $('user').value.trim(),
                             $('sig').value.replace(/\s+/g, ''));

        user = one;

        one.ready = () => {
            guest.stop();
            page.user = one.user;
            $('sig').value = '';
            $('login').close();
            $('me').textContent = one.user;
            $('guest').hidden = true;
            $('composer').hidden = false;
            note('');
            $('text').focus();
        };

        one.ended = (text) => {
            if (user !== one) {
                return;
            }

            if (one.ready) {
                user = null;
                busy(false);
                fail(text);
                return;
            }

            note(text);
            watch();
        };

        one.start();
    });

    $('leave').addEventListener('click', async () => {
        const one = user;

        note('');

        if (one) {
            await one.logout();

            if (user === one) {
                watch();
            }
        }
    });

    $('composer').addEventListener('submit', async (event) => {
        const text = $('text').value.trim();

        event.preventDefault();

        if (!text || !user || $('send').disabled) {
            return;
        }

        $('send').disabled = true;
        note('');

        try {
            await user.send(text);

            page.stuck = true;
            follow();

            if ($('text').value.trim() === text) {
                $('text').value = '';
            }

        } catch (error) {
            note('Not sent: ' + error.message
                 + (error.code ? ' (' + error.code + ')' : ''));
        }

        $('send').disabled = false;
        $('text').focus();
    });

    $('log').addEventListener('scroll', () => {
        const log = $('log');

        page.stuck = log.scrollHeight - log.scrollTop - log.clientHeight < 60;

        if (page.stuck) {
            page.unread = 0;
            $('newer').hidden = true;
        }
    }, { passive: true });

    $('newer').addEventListener('click', () => {
        page.stuck = true;
        follow();
    });

    if (typeof ResizeObserver !== 'undefined') {
        new ResizeObserver(follow).observe($('log'));
    }

    window.addEventListener('offline', () => {
        state('wait', 'This device is offline.');
    });

    /* a network again, or a page out of the browser's cache */

    function back() {
        if (user && !user.ready) {
            user.lost(user.socket);

        } else {
            guest.renew();
        }
    }

    window.addEventListener('online', back);
    window.addEventListener('pageshow', (event) => {
        if (event.persisted) {
            back();
        }
    });

    guest.start();
}

main();

})();
