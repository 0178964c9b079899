/*
 * Copyright (C) The ngx_im authors
 */

/* Chromium for the tests in t/browser/. */

'use strict';

const fs = require('fs');
const { chromium } = require('playwright-core');
const im = require('./im');

const flags = ['--headless', '--no-sandbox', '--disable-gpu',
               '--disable-quic', '--no-first-run',
               '--disable-background-networking',
               '--disable-component-update', '--disable-sync'];

const problems = [];
let browser = null;

async function launch() {
    browser = await chromium.launch({
        executablePath: process.env.IM_TEST_CHROMIUM || 'chromium',
        args: flags, timeout: 60000 });
}

/* A visitor with a browser profile of his own; he reaches no other host. */

async function visit(path, options) {
    const context = await browser.newContext({
        viewport: { width: 390, height: 844 }, ...options });

    await context.route((url) => url.origin !== im.url,
                        (route) => route.abort());

    const page = await context.newPage();

    page.setDefaultTimeout(30000);
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (line) => {
        if (/Content.Security.Policy|bad event|bad frame/.test(line.text())) {
            problems.push(line.text());
        }
    });

    if (options && options.without) {
        await page.route(options.without,
                         (route) => route.fulfill({ status: 404 }));
    }

    await page.goto(im.url + path);

    return page;
}

async function shot(page, name) {
    const dir = process.env.IM_TEST_SHOTS;

    if (dir) {
        fs.mkdirSync(dir, { recursive: true });
        await page.screenshot({ path: dir + '/' + name + '.png' });
    }
}

async function close() {
    if (browser) {
        await browser.close();
    }
}

module.exports = { launch, visit, shot, close, problems };
