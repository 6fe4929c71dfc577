package access

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/config"
)

// View is a key as people see it. Its JSON has the members of the settings, as they are
// named in the configuration, beside those that are here.
type View struct {
	// Settings is a JSON object, nil if the settings cannot be used.
	Settings json.RawMessage `json:"-"`

	Object string `json:"object"`
	Alias  string `json:"alias"`
	Source string `json:"source"`
	// Key is there in the one answer that shows it.
	Key     string `json:"key,omitempty"`
	Enabled bool   `json:"enabled"`
	// Problem says why a key is refused that is not disabled.
	Problem    string     `json:"problem,omitempty"`
	CreatedAt  *time.Time `json:"created_at"`
	RotatedAt  *time.Time `json:"rotated_at"`
	DisabledAt *time.Time `json:"disabled_at"`
}

// ViewConfigured shows a key of the configuration.
func ViewConfigured(key config.Key) View {
	v := View{Object: "key", Alias: key.Alias, Source: SourceConfig, Enabled: true}
	v.Settings, _ = key.SettingsJSON() // it came from values that JSON has
	return v
}

// ViewStored shows a key of the ledger, which may have to give way to one of the
// configuration.
func ViewStored(key ledger.StoredKey, configured []config.Key) View {
	v := View{
		Settings: key.Settings, Object: "key", Alias: key.Alias, Source: SourceLedger, Enabled: key.DisabledAt == nil,
		CreatedAt: &key.CreatedAt, RotatedAt: key.RotatedAt, DisabledAt: key.DisabledAt,
	}
	if _, err := Stored(key); err != nil {
		v.Settings, v.Enabled = nil, false
		v.Problem = "Its settings are of another version of sluice: it is refused."
	}
	if slices.ContainsFunc(configured, func(c config.Key) bool { return c.SHA256 == key.SHA256 }) {
		v.Enabled = false
		v.Problem = "The configuration has this key under another alias, which counts."
	}
	return v
}

// Views shows the keys of the configuration and those of the ledger that do not have the
// alias of one, by alias.
func Views(configured []config.Key, stored []ledger.StoredKey) []View {
	views := make([]View, 0, len(configured)+len(stored))
	taken := make(map[string]bool, len(configured))
	for _, key := range configured {
		taken[key.Alias] = true
		views = append(views, ViewConfigured(key))
	}
	for _, key := range stored {
		if !taken[key.Alias] {
			views = append(views, ViewStored(key, configured))
		}
	}
	slices.SortFunc(views, func(a, b View) int { return strings.Compare(a.Alias, b.Alias) })
	return views
}

// With shows the key itself, which is done once.
func (v View) With(key string) View {
	v.Key = key
	return v
}

// MarshalJSON writes the settings and the others as one object.
func (v View) MarshalJSON() ([]byte, error) {
	type others View
	rest, err := json.Marshal(others(v))
	if err != nil {
		return nil, err
	}
	members := map[string]json.RawMessage{}
	for _, part := range [][]byte{v.Settings, rest} {
		if len(part) == 0 {
			continue
		}
		if err := json.Unmarshal(part, &members); err != nil {
			return nil, err
		}
	}
	return json.Marshal(members)
}
