package access

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"github.com/valyala/fasthttp"
)

// KeyPrefix lets secret scanners and people tell what a key belongs to.
const KeyPrefix = "sk-sluice-"

// NewKey makes a random key of 256 bits and its hash, in the form of Hash. The key is kept
// nowhere: whoever asked for it hands it over.
func NewKey() (key, hash string) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails, see crypto/rand
	key = KeyPrefix + base64.RawURLEncoding.EncodeToString(secret)
	return key, Hash(key)
}

// Hash returns the SHA-256 of a key as 64 lower-case hex digits, as the configuration and
// the database have it. A key is random, so that nothing slower is needed.
func Hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

var bearer = []byte("bearer ")

// KeyOf returns the key that a client sent, in any of the three headers that SDKs use. The
// bytes belong to the request.
func KeyOf(h *fasthttp.RequestHeader) []byte {
	if v := h.Peek(fasthttp.HeaderAuthorization); len(v) > len(bearer) && bytes.EqualFold(v[:len(bearer)], bearer) {
		return bytes.TrimSpace(v[len(bearer):])
	}
	if v := h.Peek("X-Api-Key"); len(v) > 0 {
		return v
	}
	return h.Peek("Api-Key")
}
