package config

import (
	"crypto/sha256"
	"encoding/hex"

	"go.yaml.in/yaml/v3"
)

// Redacted returns the configuration in force as YAML, defaults included, with
// every secret masked.
func (c *Config) Redacted() []byte {
	out, err := yaml.Marshal(c)
	if err != nil {
		// Only a type that YAML cannot express fails, which a test rules out.
		return nil
	}
	return out
}

// Digest identifies the configuration in force by 16 hex digits. Secrets take
// part in their masked form only, so that nothing can be guessed from it.
func (c *Config) Digest() string {
	sum := sha256.Sum256(c.Redacted())
	return hex.EncodeToString(sum[:8])
}
