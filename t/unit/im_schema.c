
/*
 * Copyright (C) The ngx_im authors
 */


#include "ok.h"
#include "core/im_schema.h"
#include "core/im_str.h"


typedef struct {
    ngx_str_t     user;
    ngx_str_t     nick;
    im_int_t      seq;
    im_int_t      limit;
    im_int_t      flag;
    im_strs_t     to;
    im_json_t    *list;
    im_json_t    *obj;
    im_json_t    *any;
} req_t;


static im_field_t  fields[] = {

    { ngx_string("UserID"), IM_STR, IM_REQUIRED|IM_NO_NUL,
      offsetof(req_t, user), 1, 8, 100, 101 },

    { ngx_string("Nick"), IM_STR, IM_OPTIONAL,
      offsetof(req_t, nick), 2, 500, 110, 0 },

    { ngx_string("Seq"), IM_INT, IM_OPTIONAL,
      offsetof(req_t, seq), 0, 0, 120, 121 },

    { ngx_string("MaxCnt"), IM_INT, IM_NUMERIC_STR,
      offsetof(req_t, limit), 1, 100, 130, 131 },

    { ngx_string("Flag"), IM_BOOL, IM_OPTIONAL,
      offsetof(req_t, flag), 0, 0, 140, 0 },

    { ngx_string("To_Account"), IM_STRS, IM_NO_NUL,
      offsetof(req_t, to), 1, 3, 150, 151 },

    { ngx_string("List"), IM_LIST, IM_OPTIONAL,
      offsetof(req_t, list), 2, 3, 160, 161 },

    { ngx_string("Obj"), IM_OBJ, IM_OPTIONAL,
      offsetof(req_t, obj), 0, 0, 170, 0 },

    { ngx_string("Any"), IM_NODE, IM_OPTIONAL,
      offsetof(req_t, any), 0, 0, 180, 0 },

      im_null_field
};


static ngx_pool_t  *pool;
static req_t        req;
static ngx_str_t    info;


static im_code_t
fill_all(const char *text)
{
    ngx_str_t   s;
    im_json_t  *obj;

    s.len = strlen(text);
    s.data = (u_char *) text;

    if (im_json_parse(pool, &s, IM_JSON_DEPTH, &obj) != NGX_OK) {
        return -2;
    }

    ngx_memzero(&req, sizeof(req_t));
    ngx_str_null(&info);

    return im_schema_fill(pool, obj, fields, &req, &info);
}


/* The members after a good UserID. */

static im_code_t
fill(const char *members)
{
    char  buf[2048];

    snprintf(buf, sizeof(buf), "{\"UserID\":\"ann\",%s}", members);

    return fill_all(buf);
}


static void
refused(const char *members, im_code_t code, const char *text)
{
    im_code_t  rc;

    rc = fill(members);

    ok(rc == code && info.len == strlen(text)
       && ngx_memcmp(info.data, text, info.len) == 0, text);

    if (rc != code) {
        printf("# %d %.*s\n", (int) rc, (int) info.len, info.data);
    }
}


static void
test_good(void)
{
    ok(fill_all("{\"UserID\":\"ann\"}") == IM_OK
       && im_str_eq_c(&req.user, "ann")
       && req.nick.data == NULL && !req.seq.set && !req.flag.set
       && req.to.elts == NULL && req.list == NULL && req.obj == NULL
       && req.any == NULL, "required alone");

    ok(fill("\"Nick\":null,\"Seq\":null,\"MaxCnt\":null,\"Flag\":null,"
            "\"To_Account\":null,\"List\":null,\"Obj\":null,\"Any\":null,"
            "\"Other\":5") == IM_OK
       && req.nick.data == NULL && !req.seq.set && req.to.elts == NULL
       && req.any == NULL, "null is absent, unknown members are ignored");

    ok(fill("\"Nick\":\"Ann\",\"Seq\":0,\"MaxCnt\":100,\"Flag\":true,"
            "\"To_Account\":[\"a\",\"\",\"c\"],\"List\":[1,{}],"
            "\"Obj\":{\"a\":1},\"Any\":7") == IM_OK, "everything");
    ok(im_str_eq_c(&req.nick, "Ann"), "string");
    ok(req.seq.set && req.seq.value == 0, "zero is set");
    ok(req.limit.set && req.limit.value == 100, "integer");
    ok(req.flag.set && req.flag.value == 1, "boolean");
    ok(req.to.n == 3 && im_str_eq_c(&req.to.elts[0], "a")
       && req.to.elts[1].len == 0 && req.to.elts[1].data
       && im_str_eq_c(&req.to.elts[2], "c"), "strings");
    ok(req.list && req.list->n == 2, "list");
    ok(req.obj && req.obj->n == 1, "object");
    ok(req.any && req.any->type == IM_JSON_NUM, "node");

    ok(fill("\"Flag\":0") == IM_OK && req.flag.set && !req.flag.value
       && fill("\"Flag\":1") == IM_OK && req.flag.value == 1
       && fill("\"Flag\":false") == IM_OK && req.flag.set
       && !req.flag.value, "booleans");

    ok(fill("\"Seq\":9223372036854775807") == IM_OK
       && req.seq.value == INT64_MAX, "largest integer");
    ok(fill("\"Seq\":-9223372036854775808") == IM_OK
       && req.seq.value == INT64_MIN, "smallest integer");
    ok(fill("\"MaxCnt\":\"42\"") == IM_OK && req.limit.value == 42,
       "integer as string");
    ok(fill("\"UserID\":\"12345678\"") == IM_OK
       && im_str_eq_c(&req.user, "12345678"), "longest string, last wins");
    ok(fill("\"Nick\":\"a\\u0000b\"") == IM_OK && req.nick.len == 3,
       "zero byte where it may be");
}


static void
test_refused(void)
{
    char  buf[700];

    ok(fill_all("{}") == 100
       && im_str_eq_c(&info, "\"UserID\" is missing"), "missing");
    ok(fill_all("{\"UserID\":null}") == 100, "required is null");
    ok(fill_all("{\"userid\":\"ann\"}") == 100, "names have a case");
    ok(fill_all("[]") == 100 && info.len, "not an object");
    ok(im_schema_fill(pool, NULL, fields, &req, &info) == 100, "nothing");

    refused("\"UserID\":5", 100, "\"UserID\" must be a string");
    refused("\"UserID\":\"a\\u0000\"", 100,
            "\"UserID\" contains a zero byte");
    refused("\"UserID\":\"\"", 101, "\"UserID\" is empty");
    refused("\"UserID\":\"123456789\"", 101,
            "\"UserID\" is longer than 8 bytes");
    refused("\"Nick\":\"a\"", 110, "\"Nick\" is shorter than 2 bytes");

    snprintf(buf, sizeof(buf), "\"Nick\":\"%0501d\"", 0);
    refused(buf, 110, "\"Nick\" is longer than 500 bytes");

    refused("\"Seq\":\"5\"", 120, "\"Seq\" must be an integer");
    refused("\"Seq\":5.0", 120, "\"Seq\" must be an integer");
    refused("\"Seq\":1e3", 120, "\"Seq\" must be an integer");
    refused("\"Seq\":true", 120, "\"Seq\" must be an integer");
    refused("\"Seq\":[]", 120, "\"Seq\" must be an integer");
    refused("\"Seq\":9223372036854775808", 121, "\"Seq\" is out of range");
    refused("\"MaxCnt\":0", 131, "\"MaxCnt\" must be between 1 and 100");
    refused("\"MaxCnt\":101", 131, "\"MaxCnt\" must be between 1 and 100");
    refused("\"MaxCnt\":-99999999999999999999", 131,
            "\"MaxCnt\" must be between 1 and 100");
    refused("\"MaxCnt\":\"101\"", 131,
            "\"MaxCnt\" must be between 1 and 100");
    refused("\"MaxCnt\":\"\"", 130, "\"MaxCnt\" must be an integer");
    refused("\"MaxCnt\":\"-\"", 130, "\"MaxCnt\" must be an integer");
    refused("\"MaxCnt\":\"5a\"", 130, "\"MaxCnt\" must be an integer");
    refused("\"Flag\":2", 140, "\"Flag\" must be a boolean");
    refused("\"Flag\":\"true\"", 140, "\"Flag\" must be a boolean");
    refused("\"Flag\":{}", 140, "\"Flag\" must be a boolean");
    refused("\"To_Account\":\"a\"", 150,
            "\"To_Account\" must be a list of strings");
    refused("\"To_Account\":[\"a\",5]", 150,
            "\"To_Account\" must be a list of strings");
    refused("\"To_Account\":[null]", 150,
            "\"To_Account\" must be a list of strings");
    refused("\"To_Account\":[\"\\u0000\"]", 150,
            "\"To_Account\" contains a zero byte");
    refused("\"To_Account\":[]", 151, "\"To_Account\" is empty");
    refused("\"To_Account\":[\"a\",\"b\",\"c\",\"d\"]", 151,
            "\"To_Account\" has more than 3 items");
    refused("\"List\":{}", 160, "\"List\" must be a list");
    refused("\"List\":[1]", 161, "\"List\" has fewer than 2 items");
    refused("\"List\":[1,2,3,4]", 161, "\"List\" has more than 3 items");
    refused("\"Obj\":[]", 170, "\"Obj\" must be an object");
    refused("\"Obj\":\"{}\"", 170, "\"Obj\" must be an object");
    refused("\"Seq\":\"x\",\"Nick\":5", 110, "\"Nick\" must be a string");
}


int
main(void)
{
    nginx_init(NGX_LOG_STDERR, NULL);

    pool = ngx_create_pool(4096, &logger);

    test_good();
    test_refused();

    ngx_destroy_pool(pool);

    return done();
}
