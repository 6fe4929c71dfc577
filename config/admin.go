package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Admin configures the admin listener.
type Admin struct {
	// Listen is "host:port", "unix:/path", or empty or "off" for no listener.
	Listen string `yaml:"listen" doc:"Address of the admin listener, like listen. off disables it."`
	// Auth is one of the AdminAuth constants.
	Auth string `yaml:"auth" enum:"auto,always,never" doc:"Who may use it: auto (anyone if it listens on a loopback address or a Unix socket, else whoever has an admin key), always (admin keys) or never (anyone). /livez, /readyz and /healthz need no key."`
	// CORS holds origins, or * alone.
	CORS []string `yaml:"cors,omitempty" doc:"Origins of web pages that may read from it, as https://dash.example.com. Omit for none."`
}

// The values of Admin.Auth.
const (
	AdminAuthAuto   = "auto"
	AdminAuthAlways = "always"
	AdminAuthNever  = "never"
)

// Enabled reports whether there is an admin listener.
func (a Admin) Enabled() bool { return a.Listen != "" && a.Listen != "off" }

// NeedsKey reports whether requests to the admin listener need an admin key.
func (a Admin) NeedsKey() bool {
	switch {
	case !a.Enabled() || a.Auth == AdminAuthNever:
		return false
	case a.Auth == AdminAuthAlways:
		return true
	}
	return a.exposed()
}

// exposed reports whether other machines may reach the listener.
func (a Admin) exposed() bool {
	at, err := parseAddress(a.Listen)
	return err != nil || at.socket == "" && !at.loopback()
}

func (a *Admin) setDefaults() { *a = Admin{Listen: DefaultAdminListen, Auth: AdminAuthAuto} }

// admin checks what is to be known about the admin listener beside its address.
func (k *checker) admin() {
	for i, origin := range k.Admin.CORS {
		path := fmt.Sprintf("admin.cors[%d]", i)
		switch {
		case origin == anyOrigin && len(k.Admin.CORS) > 1:
			k.add(path, "* is any origin and must stand alone")
		case slices.Contains(k.Admin.CORS[:i], origin):
			k.add(path, "is listed twice")
		case origin != anyOrigin:
			if err := validOrigin(origin); err != nil {
				k.add(path, "%s %v", k.show(path, origin), err)
			}
		}
	}
	if _, err := parseAddress(k.Admin.Listen); err != nil || k.Ledger != LedgerMemory || !k.lacksAdminKey() {
		return
	}
	if k.Admin.Auth == AdminAuthAlways {
		k.add("admin.auth", "always needs a key with admin: true, and there is none")
		return
	}
	k.add("admin.listen", "%s can be reached by other machines, so admin.auth wants a key with admin: true, and there is none; listen on 127.0.0.1 to need no key",
		k.show("admin.listen", k.Admin.Listen))
}

// lacksAdminKey reports whether the admin listener needs a key and no configured one will
// do.
func (c *Config) lacksAdminKey() bool {
	return c.Admin.NeedsKey() && !slices.ContainsFunc(c.Keys, func(key Key) bool { return key.Admin })
}

// anyOrigin is the entry of Admin.CORS that stands for all.
const anyOrigin = "*"

var (
	originForm = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-][A-Za-z0-9._-]*)(:[0-9]{1,5})?$`)

	errOriginSpelling = errors.New("must be written as browsers do: in small letters, without the usual port")
	errOrigin         = errors.New("is not an origin; write it as https://dash.example.com or http://localhost:3000, without a path")
)

// validOrigin checks the origin of a web page. One that no browser ever sends, because
// they write it in another way, would never match.
func validOrigin(origin string) error {
	m := originForm.FindStringSubmatch(origin)
	if m == nil {
		return errOrigin
	}
	usual := map[string]string{"http": ":80", "https": ":443"}[strings.ToLower(m[1])]
	if strings.ToLower(origin) != origin || m[3] != "" && m[3] == usual {
		return errOriginSpelling
	}
	return nil
}
