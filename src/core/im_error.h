
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ERROR_H_INCLUDED_
#define _IM_ERROR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_code.h"


/*
 * Every code that the server sends: name, number, text (ErrorInfo, unless
 * the command has more to say).  Conditions: specification, rest-basics.md
 * section 10.
 */

#define IM_ERRORS(E)                                                          \
    /* access */                                                              \
    E(URL,                60002, "malformed URL or parameter")                \
    E(BODY,               60003, "the body is not valid JSON")                \
    E(CREDENTIALS,        60004, "identifier is missing or malformed")        \
    E(NO_USERSIG,         60005, "usersig is missing")                        \
    E(SDKAPPID,           60006, "unknown or malformed sdkappid")             \
    E(RATE,               60007, "too many calls of this command")            \
    E(REQUEST,            60008, "malformed HTTP request, or it timed out")   \
    E(NO_COMMAND,         60009, "no such service or command")                \
    E(NOT_ADMIN,          60010, "needs an administrator of the app")         \
    E(RATE_APP,           60011, "too many calls of this app")                \
    E(NO_SDKAPPID,        60012, "sdkappid is missing")                       \
    E(COMMAND_DISABLED,   60017, "the command is disabled for this app")      \
    E(BUSY,               60018, "the server is busy, retry later")           \
    /* ticket and account */                                                  \
    E(SIG_EXPIRED,        70001, "the UserSig or the session has expired")    \
    E(SIG_EMPTY,          70002, "the UserSig is empty")                      \
    E(SIG_FORMAT,         70003, "the UserSig cannot be decoded")             \
    E(SIG_MEMBERS,        70005, "the UserSig lacks members")                 \
    E(SIG_WRONG,          70009, "the signature of the UserSig is wrong")     \
    E(SIG_USER,           70013, "the UserSig is of another user")            \
    E(SIG_APP,            70014, "the UserSig is of another app")             \
    E(SIG_NO_KEY,         70016, "the app has no key of this scheme")         \
    E(SIG_FAILURES,       70050, "too many failed UserSigs, wait a minute")   \
    E(ACCOUNT_BLOCKED,    70051, "the account is blocked")                    \
    E(SIG_REVOKED,        70052, "the UserSig was revoked, make a new one")   \
    E(NO_ACCOUNT,         70107, "Err_TLS_PT_Open_Login_Account_Not_Exist")   \
    E(LOGIN_TIMEOUT,      70169, "timed out inside the service")              \
    E(A2,                 70221, "the session is not valid, log in again")    \
    E(LOGIN_BUSY,         70202, "the service is busy, retry")                \
    E(LOGIN_PARAM,        70402, "illegal parameter")                         \
    E(LOGIN_ADMIN,        70403, "needs an administrator of the app")         \
    E(REGISTER_RETRY,     70405, "internal error, retry")                     \
    E(NOT_HOSTED,         70411, "the app does not host accounts")            \
    E(REGISTER_FORMAT,    70418, "malformed package")                         \
    E(REGISTER_LENGTH,    70419, "Identifier is not of 4 to 24 characters")   \
    E(REGISTER_TYPE,      70421, "Identifier does not fit IdentifierType")    \
    E(REGISTER_ADMIN,     70425, "needs an administrator of the app")         \
    E(LOGIN_INTERNAL,     70500, "internal error")                            \
    E(DELETE_OFF,         71000, "accounts of this app cannot be deleted")    \
    /* session of a web SDK */                                                \
    E(KICKED,             1002,  "this instance was logged out by another")   \
    E(LOGGED_OUT,         6014,  "this login has ended")                      \
    E(KICKED_V1,          91101, "this instance was logged out by another")   \
    /* messages */                                                            \
    E(MSG_REQUEST,        20001, "illegal request")                           \
    E(MSG_ACCOUNT,        20003, "the sender or the receiver does not exist") \
    E(MSG_TIMEOUT,        20004, "timed out, retry")                          \
    E(MSG_INTERNAL,       20005, "internal error, retry")                     \
    E(MSG_CALLBACK,       20006, "refused by the app")                        \
    E(MSG_BLOCKED,        20007, "the receiver has blocked the sender")       \
    E(MSG_NOT_FRIENDS,    20009, "not friends")                               \
    E(MSG_NOT_HIS_FRIEND, 20010, "not in the friend list of the receiver")    \
    E(MSG_NOT_MY_FRIEND,  20011, "the receiver is not in the friend list")    \
    E(RECALL_LATE,        20016, "too late to recall")                        \
    E(MSG_DELETE,         20018, "the messages could not be deleted")         \
    E(NO_MSG,             20022, "no such message")                           \
    E(RECALLED,           20023, "the message is recalled already")           \
    E(MODIFY_CONFLICT,    20027, "the message was modified meanwhile")        \
    E(EXT_CONFLICT,       23001, "another value was written meanwhile")       \
    E(EXT_OFF,            23002, "the message takes no extensions")           \
    E(EXT_RATE,           23003, "too many extensions a minute")              \
    E(EXT_NO_MSG,         23004, "no such message")                           \
    /* C2C by REST */                                                         \
    E(C2C_JSON,           90001,                                              \
      "Fail to Parse json data of body, Please check it")                     \
    E(C2C_FORMAT,         90002, "MsgBody does not conform to the format")    \
    E(C2C_TO,             90003, "To_Account is missing or not a string")     \
    E(C2C_SEQ,            90004, "MsgSeq is not an integer of 32 bits")       \
    E(C2C_RANDOM,         90005, "MsgRandom is not an integer of 32 bits")    \
    E(C2C_TIME,           90006, "MsgTimeStamp is not a valid time")          \
    E(C2C_BODY,           90007, "MsgBody is not an array")                   \
    E(C2C_FROM,           90008, "From_Account is missing or unknown")        \
    E(C2C_ADMIN,          90009, "needs an administrator of the app")         \
    E(C2C_ELEM,           90010, "the body does not conform to the format")   \
    E(C2C_MANY,           90011, "too many accounts")                         \
    E(C2C_NO_TO,          90012, "invalid To_Account")                        \
    E(C2C_LIFE,           90026, "MsgLifeTime is wrong")                      \
    E(BATCH_TO,           90028, "To_Account is not an array")                \
    E(BATCH_EMPTY,        90029, "To_Account is empty")                       \
    E(IMPORT_SYNC,        90030, "SyncFromOldSystem is missing or illegal")   \
    E(C2C_SYNC,           90031, "SyncOtherMachine is not an integer")        \
    E(C2C_PUSH_INFO,      90043, "OfflinePushInfo does not conform")          \
    E(C2C_LIFE_TYPE,      90044, "MsgLifeTime is not an integer")             \
    E(C2C_NO_ACCOUNT,     90048, "the account does not exist")                \
    E(C2C_KEY,            90054, "MsgKey is malformed")                       \
    E(BATCH_SIZE,         90055, "the message is too long")                   \
    E(C2C_BUSY,           90994, "the server is busy, retry")                 \
    E(C2C_INTERNAL,       91000, "internal error, retry")                     \
    E(C2C_SIZE,           93000, "the message is too long")                   \
    E(DIRTY,              80001, "refused by the content check")              \
    E(SIZE,               80002, "the message is too long")                   \
    E(CALLBACK_DOWN,      80003, "the app's callback failed")                 \
    /* groups */                                                              \
    E(GROUP_INTERNAL,     10002, "internal error, retry")                     \
    E(GROUP_COMMAND,      10003, "no such command")                           \
    E(GROUP_PARAM,        10004, "illegal parameter")                         \
    E(GROUP_MANY,         10005, "too many accounts")                         \
    E(GROUP_FREQ,         10006, "too frequent, or over a quota")             \
    E(GROUP_RIGHT,        10007, "no permission")                             \
    E(GROUP_REQUEST,      10008, "illegal request")                           \
    E(GROUP_OWNER_QUIT,   10009, "the owner cannot leave")                    \
    E(GROUP_NONE,         10010, "group not exist")                           \
    E(GROUP_JSON,         10011, "the body is not a JSON object")             \
    E(GROUP_MEMBER,       10013, "already a member")                          \
    E(GROUP_FULL,         10014, "the group is full")                         \
    E(GROUP_ID,           10015, "GroupId is malformed")                      \
    E(GROUP_CALLBACK,     10016, "refused by the app")                        \
    E(GROUP_MUTED,        10017, "muted")                                     \
    E(GROUP_ANSWER,       10018, "the answer is too long")                    \
    E(GROUP_NO_ACCOUNT,   10019, "the account does not exist")                \
    E(GROUP_TAKEN,        10021, "GroupId is in use")                         \
    E(GROUP_SENDER_FREQ,  10023, "messages are sent too frequently")          \
    E(GROUP_HANDLED,      10024, "handled already")                           \
    E(GROUP_TAKEN_OWN,    10025, "GroupId is in use by a group of the owner") \
    E(GROUP_NO_MSG,       10030, "no such message")                           \
    E(GROUP_RECALL_LATE,  10031, "too late to recall")                        \
    E(GROUP_RECALLED,     10032, "the message cannot be recalled")            \
    E(GROUP_NO_RECALL,    10033, "groups of this type have no recall")        \
    E(GROUP_NO_DELETE,    10035, "messages of this type cannot be deleted")   \
    E(GROUP_AV_QUOTA,     10036, "too many live rooms")                       \
    E(GROUP_JOINED_QUOTA, 10037, "the account is in too many groups")         \
    E(GROUP_RECALL_OFF,   10041, "messages of groups cannot be recalled")     \
    E(ATTR_KEY,           10045, "the key of an attribute is too long")       \
    E(ATTR_VALUE,         10046, "the value of an attribute is too long")     \
    E(ATTR_COUNT,         10047, "too many attributes")                       \
    E(ATTR_SUM,           10048, "the attributes together are too long")      \
    E(ATTR_RATE,          10049, "attributes are written too frequently")     \
    E(ATTR_NONE,          10050, "no such attribute")                         \
    E(GROUP_AT_MANY,      10053, "too many accounts are mentioned")           \
    E(ATTR_CONFLICT,      10056, "the attributes were written meanwhile")     \
    E(GROUP_NO_RECEIPT,   10062, "no read receipt of this message")           \
    E(COUNTER_MANY,       10063, "too many counters")                         \
    E(TOPIC_OFF,          11000, "communities are not offered")               \
    /* profile, relations */                                                  \
    E(PROFILE_PARAM,      40001, "illegal parameter")                         \
    E(PROFILE_NO_TO,      40002, "To_Account is missing")                     \
    E(PROFILE_ACCOUNT,    40003, "the account does not exist")                \
    E(PROFILE_ADMIN,      40004, "needs an administrator of the app")         \
    E(PROFILE_DIRTY,      40005, "refused by the content check")              \
    E(PROFILE_INTERNAL,   40006, "internal error")                            \
    E(PROFILE_READ,       40007, "no right to read the field")                \
    E(PROFILE_WRITE,      40008, "no right to write the field")               \
    E(PROFILE_TAG,        40009, "no such Tag")                               \
    E(PROFILE_SIZE,       40601, "the value is longer than 500 bytes")        \
    E(PROFILE_VALUE,      40605, "illegal value")                             \
    E(PROFILE_TYPE,       40610, "wrong type of the value")                   \
    E(SNS_PARAM,          30001, "illegal parameter")                         \
    E(SNS_ACCOUNT,        30003, "the account does not exist")                \
    E(SNS_ADMIN,          30004, "needs an administrator of the app")         \
    E(SNS_INTERNAL,       30006, "internal error")                            \
    E(SNS_TIMEOUT,        30007, "timed out")                                 \
    E(SNS_DIRTY,          30005, "refused by the content check")              \
    E(SNS_CONFLICT,       30008, "written by another meanwhile, retry")       \
    E(SNS_FORBIDDEN,      30009, "the account may not send friend requests")  \
    E(SNS_FULL,           30010, "too many friends")                          \
    E(SNS_GROUPS_FULL,    30011, "too many friend groups")                    \
    E(SNS_REQUESTS_FULL,  30012, "too many pending requests")                 \
    E(SNS_BLACK_FULL,     30013, "the blacklist is full")                     \
    E(SNS_PEER_FULL,      30014, "the other one has too many friends")        \
    E(SNS_BLOCKING,       30515, "the other one is in the blacklist")         \
    E(SNS_DENIED,         30516, "the other one takes no friends")            \
    E(SNS_BLOCKED,        30525, "in the blacklist of the other one")         \
    E(SNS_PENDING,        30539, "the request waits for an answer")           \
    E(SNS_ADD_RATE,       30540, "too many friend requests")                  \
    E(SNS_NO_REQUEST,     30614, "no such pending request")                   \
    E(SNS_NOT_FRIEND,     31704, "not a friend")                              \
    E(SNS_DELETE_RATE,    31707, "too many deletions")                        \
    E(SNS_NO_PENDENCY,    31804, "no such pending request")                   \
    E(SNS_GROUP_STRANGER, 32216, "not a friend")                              \
    E(SNS_GROUP_INSIDE,   32219, "in the friend group already")               \
    E(SNS_GROUP_NAME,     32503, "the name has not 1 to 30 bytes")            \
    E(SNS_GROUP_TYPE,     32505, "illegal UpdateType")                        \
    E(SNS_GROUP_TAKEN,    32506, "there is a friend group of this name")      \
    E(SNS_GROUP_NONE,     32507, "no such friend group")                      \
    E(SNS_GROUP_NO_FRIEND, 32518, "not a friend")                             \
    E(SNS_GROUP_IN,       32519, "in the friend group already")               \
    E(SNS_GROUP_OUT,      32520, "not in the friend group")                   \
    E(SNS_GROUP_NOTHING,  32522, "nothing to do")                             \
    /* relations, numbers of 2018: only with "b_codes" */                     \
    E(B_SOURCE,           30501, "illegal AddSource")                         \
    E(B_LENGTH,           30502, "a text is too long")                        \
    E(B_COUNT,            30503, "not 1 to 1000 accounts")                    \
    E(B_MANY_CONFIRM,     30517, "too many accounts to be asked")             \
    E(B_ADD_GROUPS,       30518, "too many friend groups")                    \
    E(B_ADD_FULL,         30519, "too many friends")                          \
    E(B_ADD_EXISTS,       30520, "a friend already")                          \
    E(B_ADD_PEER_FULL,    30535, "the other one has too many friends")        \
    E(B_ADD_TYPE,         30541, "illegal AddType")                           \
    E(B_ADD_FORCE,        30542, "only an administrator may force it")        \
    E(B_ADD_CONFLICT,     30543, "written by another meanwhile, retry")       \
    E(B_ADD_FORBIDDEN,    30545, "the account may not send friend requests")  \
    E(B_ACTION,           30601, "illegal ResponseAction")                    \
    E(B_RESPONSE_COUNT,   30603, "not 1 to 1000 accounts")                    \
    E(B_RESPONSE_FULL,    30615, "too many friends")                          \
    E(B_RESPONSE_GROUPS,  30616, "too many friend groups")                    \
    E(B_RESPONSE_EXISTS,  30617, "a friend already")                          \
    E(B_RESPONSE_PEER,    30630, "the other one has too many friends")        \
    E(B_UPDATE,           30701, "illegal field")                             \
    E(B_UPDATE_NO_FRIEND, 30712, "not a friend")                              \
    E(B_UPDATE_GROUPS,    30713, "too many friend groups")                    \
    E(B_IMPORT,           30801, "illegal field")                             \
    E(B_IMPORT_FULL,      30812, "too many friends")                          \
    E(B_IMPORT_GROUPS,    30813, "too many friend groups")                    \
    E(B_IMPORT_CONFLICT,  30814, "written by another meanwhile, retry")       \
    E(B_CHECK,            30901, "illegal CheckType")                         \
    E(B_PENDENCY_TYPE,    31001, "illegal PendencyType")                      \
    E(B_GET_ALL,          31101, "illegal parameter")                         \
    E(B_GET_ALL_TAGS,     31102, "too many fields")                           \
    E(B_GET_LIST,         31201, "illegal parameter")                         \
    E(B_GET_LIST_TAGS,    31202, "too many fields")                           \
    E(B_GET_LIST_NONE,    31211, "not a friend")                              \
    E(B_BLACK_ADD,        31301, "not 1 to 1000 accounts")                    \
    E(B_BLACK_EXISTS,     31307, "in the blacklist already")                  \
    E(B_BLACK_FULL,       31309, "the blacklist is full")                     \
    E(B_BLACK_CHECK,      31401, "not 1 to 1000 accounts")                    \
    E(B_BLACK_TYPE,       31404, "illegal CheckType")                         \
    E(B_BLACK_DELETE,     31501, "not 1 to 1000 accounts")                    \
    E(B_BLACK_NONE,       31503, "not in the blacklist")                      \
    E(B_BLACK_GET,        31601, "not 1 to 1000 accounts")                    \
    E(B_DELETE,           31701, "not 1 to 1000 accounts")                    \
    E(B_DELETE_TYPE,      31702, "illegal DeleteType")                        \
    E(B_REQ_DELETE,       31801, "not 1 to 1000 accounts")                    \
    E(B_REQ_TYPE,         31802, "illegal PendencyType")                      \
    E(B_GROUP_COUNT,      32201, "not 1 to 32 names")                         \
    E(B_GROUP_NAME,       32202, "the name has not 1 to 30 bytes")            \
    E(B_GROUPS_FULL,      32215, "too many friend groups")                    \
    E(B_GROUP_TAKEN,      32218, "there is a friend group of this name")      \
    E(B_GROUP_DELETE,     32301, "not 1 to 32 names")                         \
    E(B_GROUP_NONE,       32309, "no such friend group")                      \
    /* conversations, configuration, history */                               \
    E(CONTACT_ACCOUNT,    50001, "the account does not exist")                \
    E(CONTACT_PARAM,      50002, "illegal parameter")                         \
    E(CONTACT_ADMIN,      50003, "needs an administrator of the app")         \
    E(CONTACT_INTERNAL,   50004, "internal error")                            \
    E(CONTACT_TIMEOUT,    50005, "timed out")                                 \
    E(CONF_JSON,          130001, "the body is not a JSON object")            \
    E(CONF_INTERNAL,      130014, "internal error")                           \
    E(HISTORY_INTERNAL,   1003,  "internal error")


#define IM_ERROR_ENUM(name, code, text)  IM_E_##name = code,

enum {
    IM_ERRORS(IM_ERROR_ENUM)
    IM_E_LAST
};


/* The text of a code; "error" for one that is not in the table. */
ngx_str_t *im_error_text(im_code_t code);


#endif /* _IM_ERROR_H_INCLUDED_ */
