package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/config"
)

// caller is who sent a request.
type caller struct {
	alias string
	admin bool
}

// mayManage tells whether c may see and cancel an exchange of the key owner.
func (c caller) mayManage(owner string) bool { return c.admin || c.alias == owner }

// keyring knows the issued client keys by their SHA-256. An empty ring lets
// everyone in as the caller without a name.
type keyring struct {
	byHash  map[[sha256.Size]byte]caller
	aliases map[string]bool
}

// knows tells whether alias is that of an issued key.
func (k *keyring) knows(alias string) bool { return k.aliases[alias] }

func newKeyring(keys []config.Key) (*keyring, error) {
	ring := &keyring{byHash: make(map[[sha256.Size]byte]caller, len(keys)), aliases: make(map[string]bool, len(keys))}
	for _, k := range keys {
		var sum [sha256.Size]byte
		if _, err := hex.Decode(sum[:], []byte(k.SHA256)); err != nil {
			return nil, err
		}
		ring.aliases[k.Alias] = true
		ring.byHash[sum] = caller{alias: k.Alias, admin: k.Admin}
	}
	return ring, nil
}

// open tells that no key is asked for.
func (k *keyring) open() bool { return len(k.byHash) == 0 }

// identify finds the caller behind the credential of a request. A credential is
// looked up by its hash and compared in constant time, and an unknown one costs
// the same work as a known one, so that the time taken tells nothing about it.
func (k *keyring) identify(h *fasthttp.RequestHeader) (caller, bool) {
	if k.open() {
		return caller{admin: true}, true
	}
	sum := sha256.Sum256(clientKey(h))
	found, known := k.byHash[sum]
	stored := sum
	if !known {
		stored[0] ^= 0xff
	}
	return found, subtle.ConstantTimeCompare(sum[:], stored[:]) == 1
}

var bearer = []byte("bearer ")

// clientKey returns the key that a client sent, in any of the three headers
// that SDKs use. The bytes belong to the request.
func clientKey(h *fasthttp.RequestHeader) []byte {
	if v := h.Peek(fasthttp.HeaderAuthorization); len(v) > len(bearer) && bytes.EqualFold(v[:len(bearer)], bearer) {
		return bytes.TrimSpace(v[len(bearer):])
	}
	if v := h.Peek("X-Api-Key"); len(v) > 0 {
		return v
	}
	return h.Peek("Api-Key")
}
