package config

import "fmt"

// Warnings lists what is allowed but seldom meant, in the form of problems: a path and
// what it means. Whoever starts with the configuration should say it. There are no
// secrets in it.
func (c *Config) Warnings() []string {
	var list []string
	add := func(path, format string, args ...any) {
		list = append(list, path+": "+fmt.Sprintf(format, args...))
	}
	switch {
	case !c.Admin.Enabled():
	case c.Admin.Auth == AdminAuthNever && c.Admin.exposed():
		add("admin.auth", "anyone who reaches the admin listener may use it without a key, and it is not bound to this machine")
	case c.lacksAdminKey():
		add("admin", "its users need an admin key, and no key of the configuration is one; unless the ledger has one, sluice keys create --admin makes it")
	}
	if c.Admin.Enabled() && !c.Admin.NeedsKey() && len(c.Admin.CORS) == 1 && c.Admin.CORS[0] == anyOrigin {
		add("admin.cors", "any web page in a browser that reaches the admin listener may read from it, for no key is needed")
	}
	for i, m := range c.Models {
		path := fmt.Sprintf("models[%d].hedge_after", i)
		limit := m.FirstToken
		if limit == 0 {
			limit = c.Timeouts.FirstToken
		}
		switch {
		case m.HedgeAfter == 0:
		case len(m.Targets) < 2:
			add(path, "does nothing, because the model has one target")
		case limit > 0 && m.HedgeAfter >= limit:
			add(path, "does nothing, because the first target has %s for its first token", limit)
		}
	}
	return list
}
