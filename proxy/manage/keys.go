package manage

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/proxy/access"
	"github.com/sluicehq/sluice/translate"
)

// request is a request about keys by an administrator.
type request struct {
	*fasthttp.RequestCtx
	ctx   context.Context
	admin string // alias of who asks
}

// keys serves the list of keys, and takes new ones.
func (a *API) keys(rc *fasthttp.RequestCtx) {
	switch method := string(rc.Method()); method {
	case fasthttp.MethodGet, fasthttp.MethodHead:
		a.manage(rc, a.listKeys)
	case fasthttp.MethodPost:
		a.manage(rc, a.createKey)
	default:
		wrongMethod(rc, "GET, HEAD, POST")
	}
}

// key serves what is below the list: a key, or something to do with it.
func (a *API) key(rc *fasthttp.RequestCtx, below string) {
	alias, action, _ := strings.Cut(below, "/")
	method := string(rc.Method())
	reads := method == fasthttp.MethodGet || method == fasthttp.MethodHead
	actions := map[string]func(request, string) error{"rotate": a.rotateKey, "disable": a.disableKey, "enable": a.enableKey}
	do, known := actions[action]
	switch {
	case alias == "" || action != "" && !known || strings.HasSuffix(below, "/"):
		writeError(rc, translate.NewError(translate.CodeNotFound))
		return
	case known && method != fasthttp.MethodPost:
		wrongMethod(rc, "POST")
		return
	case known:
	case reads:
		do = a.showKey
	case method == fasthttp.MethodPatch:
		do = a.changeKey
	default:
		wrongMethod(rc, "GET, HEAD, PATCH")
		return
	}
	a.manage(rc, func(r request) error { return do(r, alias) })
}

// manage does something about keys if an administrator asks for it.
func (a *API) manage(rc *fasthttp.RequestCtx, do func(request) error) {
	rc.Response.Header.Set("Cache-Control", "no-store")
	who, err := a.administrator(rc)
	if err != nil {
		a.refuse(rc, err)
		return
	}
	ctx, cancel := limited(keysTime)
	defer cancel()
	if err := do(request{rc, ctx, who.Alias}); err != nil {
		a.refuse(rc, err)
	}
}

// noAdmin tells how the first key of an administrator is made.
const noAdmin = "Keys are managed with the key of an administrator, and there is none yet. " +
	"Make one where sluice runs: sluice keys create --alias NAME --admin"

// administrator finds who asks, and refuses everybody but administrators.
func (a *API) administrator(rc *fasthttp.RequestCtx) (*access.Caller, error) {
	who, known := a.Keys.Identify(access.KeyOf(&rc.Request.Header))
	if !a.Keys.HasAdmin() {
		e := translate.NewError(translate.CodeAdminRequired)
		e.Message = noAdmin
		return nil, e
	}
	switch {
	case !known:
		return nil, translate.NewError(translate.CodeInvalidAPIKey)
	case !who.Admin || who.Alias == "":
		return nil, translate.NewError(translate.CodeAdminRequired)
	}
	return who, nil
}

// configured returns a key of the configuration.
func (a *API) configured(alias string) (config.Key, bool) {
	keys := a.Keys.Configured()
	i := slices.IndexFunc(keys, func(k config.Key) bool { return k.Alias == alias })
	if i < 0 {
		return config.Key{}, false
	}
	return keys[i], true
}

// changeable reports whether a key can be changed here.
func (a *API) changeable(alias string) error {
	if _, ok := a.configured(alias); ok {
		return translate.NewError(translate.CodeKeyConfigured)
	}
	if a.Books == nil {
		return translate.NewError(translate.CodeNoLedger)
	}
	return nil
}

func (a *API) listKeys(r request) error {
	var stored []ledger.StoredKey
	if a.Books != nil {
		var err error
		if stored, err = a.Books.Keys(r.ctx); err != nil {
			return err
		}
	}
	return writeJSON(r.RequestCtx, fasthttp.StatusOK, map[string]any{"object": "list", "data": access.Views(a.Keys.Configured(), stored)})
}

func (a *API) showKey(r request, alias string) error {
	if key, ok := a.configured(alias); ok {
		return writeJSON(r.RequestCtx, fasthttp.StatusOK, access.ViewConfigured(key))
	}
	if a.Books == nil {
		return translate.NewError(translate.CodeKeyNotFound)
	}
	key, err := a.Books.Key(r.ctx, alias)
	if err != nil {
		return keyError(err)
	}
	return writeJSON(r.RequestCtx, fasthttp.StatusOK, access.ViewStored(key, a.Keys.Configured()))
}

func (a *API) createKey(r request) error {
	if a.Books == nil {
		return translate.NewError(translate.CodeNoLedger)
	}
	key, err := newKey(r.PostBody())
	if err != nil {
		return err
	}
	if _, taken := a.configured(key.Alias); taken {
		return translate.NewError(translate.CodeKeyExists)
	}
	settings, err := key.SettingsJSON()
	if err != nil {
		return err
	}
	secret, hash := access.NewKey()
	stored, err := a.Books.CreateKey(r.ctx, ledger.StoredKey{Alias: key.Alias, SHA256: hash, Settings: settings})
	if err != nil {
		return keyError(err)
	}
	a.changed(r, "created", key.Alias)
	return writeJSON(r.RequestCtx, fasthttp.StatusCreated, access.ViewStored(stored, a.Keys.Configured()).With(secret))
}

// newKey reads the alias and the settings of a key that is to be made.
func newKey(body []byte) (config.Key, error) {
	if !json.Valid(body) {
		return config.Key{}, translate.NewError(translate.CodeInvalidJSON)
	}
	key, err := config.ParseKey(body)
	switch {
	case err != nil:
		return config.Key{}, invalidSettings(err)
	case key.SHA256 != "":
		return config.Key{}, invalidValue("sha256", "cannot be set: the key is made here")
	case key.Alias == "":
		return config.Key{}, invalidValue("alias", "is required")
	}
	return key, nil
}

func (a *API) changeKey(r request, alias string) error {
	if err := a.changeable(alias); err != nil {
		return err
	}
	patch, err := settingsPatch(r.PostBody())
	if err != nil {
		return err
	}
	stored, err := a.Books.UpdateKey(r.ctx, alias, patch.apply)
	if err != nil {
		return keyError(err)
	}
	a.changed(r, "changed", alias)
	return writeJSON(r.RequestCtx, fasthttp.StatusOK, access.ViewStored(stored, a.Keys.Configured()))
}

func (a *API) rotateKey(r request, alias string) error {
	if err := a.changeable(alias); err != nil {
		return err
	}
	secret, hash := access.NewKey()
	stored, err := a.Books.RotateKey(r.ctx, alias, hash)
	if err != nil {
		return keyError(err)
	}
	a.changed(r, "rotated", alias)
	return writeJSON(r.RequestCtx, fasthttp.StatusOK, access.ViewStored(stored, a.Keys.Configured()).With(secret))
}

func (a *API) disableKey(r request, alias string) error { return a.switchKey(r, alias, true) }

func (a *API) enableKey(r request, alias string) error { return a.switchKey(r, alias, false) }

func (a *API) switchKey(r request, alias string, disabled bool) error {
	if err := a.changeable(alias); err != nil {
		return err
	}
	stored, err := a.Books.DisableKey(r.ctx, alias, disabled)
	if err != nil {
		return keyError(err)
	}
	a.changed(r, map[bool]string{true: "disabled", false: "enabled"}[disabled], alias)
	return writeJSON(r.RequestCtx, fasthttp.StatusOK, access.ViewStored(stored, a.Keys.Configured()))
}

// changed makes a change count here at once, and tells others and the log. That the keys
// cannot be read now is no reason to hide what was done: they will be soon.
func (a *API) changed(r request, what, alias string) {
	a.Logger.Info("a key was "+what, "key", alias, "by", r.admin)
	_ = a.Keys.Refresh(r.ctx) // logged there
	a.Changed()
}

// keyError is the error for the client of what the books say.
func keyError(err error) error {
	switch {
	case errors.Is(err, ledger.ErrKeyExists):
		return translate.NewError(translate.CodeKeyExists)
	case errors.Is(err, ledger.ErrNoKey):
		return translate.NewError(translate.CodeKeyNotFound)
	}
	return err
}

// invalidSettings names the first member that the configuration would refuse.
func invalidSettings(err error) error {
	var problems *config.Problems
	if !errors.As(err, &problems) || len(problems.List) == 0 {
		return invalidValue("", "The settings of the key cannot be used")
	}
	return invalidValue(problems.List[0].Path, problems.List[0].Message)
}
