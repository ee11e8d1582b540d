/* SPDX-License-Identifier: Apache-2.0
 *
 * A PKCS#11 module for tests: OpenSC's, except that it gives the PIN by itself. Headless Chromium cannot show
 * its PIN dialog. The module behind it and the PIN come from the environment; it is part of no package.
 */
#define CRYPTOKI_GNU 1
#include <p11-kit/pkcs11.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static struct ck_function_list functions;
static struct ck_function_list *opensc;

static ck_rv_t token_info(ck_slot_id_t slot, struct ck_token_info *info)
{
    ck_rv_t result = opensc->C_GetTokenInfo(slot, info);

    if (result == CKR_OK)
        info->flags &= ~(ck_flags_t)CKF_LOGIN_REQUIRED;
    return result;
}

static ck_rv_t open_session(ck_slot_id_t slot, ck_flags_t flags, void *data, ck_notify_t notify,
                            ck_session_handle_t *session)
{
    const char *pin = getenv("AUTO_LOGIN_PIN");
    struct ck_session_info info;
    ck_rv_t result = opensc->C_OpenSession(slot, flags, data, notify, session);

    if (result == CKR_OK && pin != NULL && opensc->C_GetSessionInfo(*session, &info) == CKR_OK
        && (info.state == CKS_RO_PUBLIC_SESSION || info.state == CKS_RW_PUBLIC_SESSION))
        opensc->C_Login(*session, CKU_USER, (unsigned char *)pin, strlen(pin));
    return result;
}

ck_rv_t C_GetFunctionList(struct ck_function_list **list)
{
    const char *path = getenv("AUTO_LOGIN_OPENSC");
    void *module = path != NULL ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    ck_rv_t (*get)(struct ck_function_list **) = NULL;

    if (module != NULL)
        *(void **)&get = dlsym(module, "C_GetFunctionList");
    if (get == NULL || get(&opensc) != CKR_OK)
        return CKR_GENERAL_ERROR;
    functions = *opensc;
    functions.C_GetTokenInfo = token_info;
    functions.C_OpenSession = open_session;
    *list = &functions;
    return CKR_OK;
}
