package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/config"
)

// Store is where keys are kept besides the configuration. *ledger.Books are one.
type Store interface {
	Keys(ctx context.Context) ([]ledger.StoredKey, error)
}

// DefaultRefresh is how often the store is read.
const DefaultRefresh = 5 * time.Second

// Options of a Keyring.
type Options struct {
	// Configured are the keys of a loaded configuration, until SetConfigured. They go before
	// stored keys with the same alias or the same hash.
	Configured []config.Key
	// Store is nil when the configuration has all keys.
	Store Store
	// Logger is nil for none.
	Logger *slog.Logger
	// Refresh is how often the store is read; 0 stands for DefaultRefresh.
	Refresh time.Duration
	// Registerer takes the metrics until Close; nil for none.
	Registerer prometheus.Registerer
}

// Keyring knows the keys that clients may use. All methods are safe for concurrent use.
type Keyring struct {
	store   Store
	logger  *slog.Logger
	every   time.Duration
	metrics *metrics

	current atomic.Pointer[snapshot]

	// replacing is held by who replaces the snapshot, and never while the store is read.
	replacing sync.Mutex
	shadowed  map[string]bool // stored aliases that gave way to the configuration; under replacing

	reading chan struct{} // held by who reads the store
	outage  bool          // the store could not be read; by whoever reads

	wanted chan struct{} // asks the loop for a refresh
	stop   context.CancelFunc
	done   sync.WaitGroup
	once   sync.Once
}

// snapshot is what the keyring knows at a time. It is never changed.
type snapshot struct {
	byHash     map[[sha256.Size]byte]*holder
	byAlias    map[string]*holder
	aliases    []string // in their order
	configured []config.Key
	stored     []ledger.StoredKey
	// known tells that the store was read, or that there is none.
	known  bool
	readAt time.Time
	counts counts
}

// holder is a key and who may come in with it.
type holder struct {
	caller   *Caller // nil if the settings cannot be used
	refused  bool
	stored   bool
	settings string // as stored
}

// New returns a keyring that knows the keys of the configuration, and those of the store if
// it answers before ctx ends. If it does not, that is logged and tried again: until it was
// read once, its keys are unknown, and nobody is let in without a key. The error is that of a
// hash in Configured which is none.
func New(ctx context.Context, o Options) (*Keyring, error) {
	k := &Keyring{
		store: o.Store, logger: o.Logger, every: o.Refresh,
		reading: make(chan struct{}, 1), wanted: make(chan struct{}, 1), shadowed: map[string]bool{},
	}
	if k.logger == nil {
		k.logger = slog.New(slog.DiscardHandler)
	}
	if k.every <= 0 {
		k.every = DefaultRefresh
	}
	k.current.Store(&snapshot{})
	first := &snapshot{configured: slices.Clone(o.Configured), known: k.store == nil, readAt: time.Now()}
	if err := k.replace(first); err != nil {
		return nil, err
	}
	if err := k.register(o.Registerer); err != nil {
		return nil, err
	}
	if k.store == nil {
		k.stop = func() {}
		return k, nil
	}
	limited, cancel := context.WithTimeout(ctx, refreshLimit)
	defer cancel()
	_ = k.Refresh(limited) // logged there
	loop, stop := context.WithCancel(context.WithoutCancel(ctx))
	k.stop = stop
	k.done.Go(func() { k.refreshLoop(loop) })
	return k, nil
}

// Close ends the refresh. What is known stays.
func (k *Keyring) Close() {
	k.once.Do(func() {
		k.stop()
		k.done.Wait()
		k.metrics.unregister()
	})
}

// Open tells that no key is asked for: there is none in the configuration and none, not even
// a disabled one, in the store.
func (k *Keyring) Open() bool { return k.current.Load().open() }

func (s *snapshot) open() bool { return s.known && len(s.aliases) == 0 }

// Identify finds who holds a key; where no key is asked for, it is the caller without a name.
// A key is looked up by its hash and compared in constant time, and unknown and disabled ones
// cost the same work as others, so that the time taken tells nothing about a key. The answer
// is that of the last snapshot; a key that is refused asks for the next one, so that a key
// made elsewhere works within a moment. The bytes of key are not kept.
func (k *Keyring) Identify(key []byte) (*Caller, bool) {
	now := k.current.Load()
	if now.open() {
		return anyone, true
	}
	sum := sha256.Sum256(key)
	found, known := now.byHash[sum]
	stored := sum
	if !known {
		found = nobody
	}
	if found.refused {
		stored[0] ^= 0xff
	}
	if subtle.ConstantTimeCompare(sum[:], stored[:]) != 1 {
		k.RefreshSoon()
		return nil, false
	}
	return found.caller, true
}

// nobody holds the keys that are unknown.
var nobody = &holder{refused: true}

// Caller returns who may come in with the key of an alias, also of a disabled one.
func (k *Keyring) Caller(alias string) (*Caller, bool) {
	h := k.current.Load().byAlias[alias]
	if h == nil || h.caller == nil {
		return nil, false
	}
	return h.caller, true
}

// Knows tells whether alias is that of a key, also of a disabled one.
func (k *Keyring) Knows(alias string) bool { return k.current.Load().byAlias[alias] != nil }

// Aliases lists the aliases of all keys, also of disabled ones, in their order. The slice is
// shared: nobody may change it.
func (k *Keyring) Aliases() []string { return k.current.Load().aliases }

// HasAdmin tells whether a key that may be used is that of an admin.
func (k *Keyring) HasAdmin() bool { return k.current.Load().counts.admins > 0 }

// Configured lists the keys of the configuration. Nobody may change what they refer to.
func (k *Keyring) Configured() []config.Key { return slices.Clone(k.current.Load().configured) }

// SetConfigured replaces the keys of the configuration, all at once: from its return on, a key
// that is not among them and not in the store is unknown. Callers that were identified before
// stay as they are. It does not wait for the store. The error is that of a hash which is
// none; then nothing has changed.
func (k *Keyring) SetConfigured(keys []config.Key) error {
	k.replacing.Lock()
	defer k.replacing.Unlock()
	now := k.current.Load()
	return k.replace(&snapshot{
		configured: slices.Clone(keys), stored: now.stored, known: now.known, readAt: now.readAt,
	})
}

// setStored replaces the keys of the store, as they were at a time.
func (k *Keyring) setStored(stored []ledger.StoredKey, at time.Time) error {
	k.replacing.Lock()
	defer k.replacing.Unlock()
	return k.replace(&snapshot{configured: k.current.Load().configured, stored: stored, known: true, readAt: at})
}

// replace fills a snapshot and makes it the current one. Whoever calls it is replacing.
func (k *Keyring) replace(next *snapshot) error {
	if err := next.fill(k); err != nil {
		return err
	}
	k.current.Store(next)
	return nil
}

// fill makes what is looked up of the keys of the configuration and then those of the store.
func (s *snapshot) fill(k *Keyring) error {
	s.byHash = make(map[[sha256.Size]byte]*holder, len(s.configured)+len(s.stored))
	s.byAlias = make(map[string]*holder, len(s.configured)+len(s.stored))
	for _, key := range s.configured {
		sum, ok := hashOf(key.SHA256)
		if !ok {
			return fmt.Errorf("the key %s has no SHA-256 of 64 hex digits", key.Alias)
		}
		h := &holder{caller: callerOf(key, false)}
		s.byHash[sum], s.byAlias[key.Alias] = h, h
		s.counts.add(h)
	}
	for _, key := range s.stored {
		s.add(k, key)
	}
	s.aliases = slices.Sorted(maps.Keys(s.byAlias))
	return nil
}

// add puts a key of the store into a snapshot, unless the configuration has its alias or its
// hash. Whoever calls it is replacing.
func (s *snapshot) add(k *Keyring, key ledger.StoredKey) {
	sum, _ := hashOf(key.SHA256) // what is no hash becomes one that no key has
	if s.byHash[sum] != nil || s.byAlias[key.Alias] != nil {
		if !k.shadowed[key.Alias] {
			k.shadowed[key.Alias] = true
			k.logger.Warn("a stored key gives way to one of the configuration", "key", key.Alias)
		}
		return
	}
	h := k.holderOf(key)
	s.byHash[sum], s.byAlias[key.Alias] = h, h
	s.counts.add(h)
}

// hashOf reads a hash of 64 hex digits.
func hashOf(text string) (sum [sha256.Size]byte, ok bool) {
	decoded, err := hex.DecodeString(text)
	if err != nil || len(decoded) != len(sum) {
		return sum, false
	}
	return [sha256.Size]byte(decoded), true
}

// holderOf makes the holder of a stored key. What was read of its settings before is used
// again. A key whose settings cannot be used is refused: they may hold a limit.
func (k *Keyring) holderOf(key ledger.StoredKey) *holder {
	h := &holder{refused: key.DisabledAt != nil, stored: true, settings: string(key.Settings)}
	if before := k.current.Load().byAlias[key.Alias]; before != nil && before.stored && before.settings == h.settings {
		h.caller = before.caller
		h.refused = h.refused || h.caller == nil
		return h
	}
	parsed, err := Stored(key)
	if err != nil {
		k.logger.Error("a stored key is refused, because its settings cannot be used", "key", key.Alias, "error", err.Error())
		h.refused = true
		return h
	}
	h.caller = callerOf(parsed, true)
	return h
}

// Stored reads a key of the store as if it were one of the configuration.
func Stored(key ledger.StoredKey) (config.Key, error) {
	parsed, err := config.ParseKey(key.Settings)
	if err != nil {
		return config.Key{}, fmt.Errorf("reading the settings of the key %s: %w", key.Alias, err)
	}
	parsed.Alias, parsed.SHA256 = key.Alias, key.SHA256
	return parsed, nil
}

// Where keys are kept.
const (
	SourceConfig = "config"
	SourceLedger = "ledger"
)
