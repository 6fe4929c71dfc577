package config

import "time"

// DefaultListen is the address of the API listener when none is configured.
const DefaultListen = ":8080"

// DefaultAdminListen is the address of the admin listener when none is
// configured; it is reachable from the same host only.
const DefaultAdminListen = "127.0.0.1:9090"

// Default returns a configuration with every default set and without providers.
func Default() *Config {
	c := &Config{}
	c.setDefaults()
	return c
}

// defaulter is implemented by the structs that have defaults other than zero.
// The decoder calls it before it reads the members of a mapping.
type defaulter interface{ setDefaults() }

func (c *Config) setDefaults() {
	c.Listen = DefaultListen
	c.HalfClose = HalfCloseGone
	c.ResponseModel = ResponseModelPublic
	c.KeepAlive = Duration(15 * time.Second)
	c.Admin.setDefaults()
	c.Timeouts.setDefaults()
	c.Limits.setDefaults()
	c.Retry.setDefaults()
	c.Breaker.setDefaults()
	c.Queue.setDefaults()
	c.Log = Log{Level: "info", Format: "auto"}
	c.OnLedgerFailure = OnLedgerFailureAuto
	c.Spool = 64 * MiB
	c.Keep = Duration(90 * day)
	c.Records = 10_000
	c.Capture.setDefaults()
	c.Extensions = true
	c.ThoughtMemory = 16 * MiB
	c.Origin = OriginFile
}

func (p *Provider) setDefaults() {
	yes := true
	p.IncludeUsage = &yes
	// Below the shortest keep-alive limit seen at providers (5 s at uvicorn),
	// so that a pooled connection is seldom closed under a request.
	p.IdleConn = Duration(4 * time.Second)
	p.Limits.setDefaults()
}

func (k *Key) setDefaults() { k.Limits.setDefaults() }

func (t *Timeouts) setDefaults() {
	*t = Timeouts{
		Connect:        Duration(5 * time.Second),
		FirstToken:     Duration(600 * time.Second),
		Idle:           Duration(300 * time.Second),
		Total:          0,
		ClientStall:    Duration(30 * time.Second),
		Drain:          Duration(25 * time.Second), // Kubernetes kills after 30 s
		RequestHeaders: Duration(10 * time.Second),
		RequestBody:    Duration(30 * time.Second),
		KeepAlive:      Duration(60 * time.Second),
	}
}

func (l *Limits) setDefaults() {
	*l = Limits{MaxBody: 32 * MiB, MaxHeader: 32 * KiB, MaxAnswer: 64 * MiB}
}
