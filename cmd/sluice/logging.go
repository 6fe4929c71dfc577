package main

import (
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/sluicehq/sluice/config"
)

// newLogger returns the logger that cfg asks for, writing to w, and its level, which may be
// changed. Attributes that are named like credentials are masked, whatever they hold.
func newLogger(w io.Writer, cfg config.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(levelOf(cfg))
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: maskCredentials}
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options)), level
	}
	return slog.New(slog.NewJSONHandler(w, options)), level
}

// levelOf is the least severe level that is logged.
func levelOf(cfg config.Log) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		return slog.LevelInfo
	}
	return level
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// credentialNames end the names of attributes that may hold a credential.
// Plain "token" is not among them: tokens are what is counted here.
var credentialNames = []string{
	"apikey", "authorization", "password", "secret", "cookie", "credential", "credentials",
	"accesstoken", "bearertoken", "authtoken", "privatekey",
}

func maskCredentials(_ []string, attr slog.Attr) slog.Attr {
	name := strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(attr.Key))
	for _, suffix := range credentialNames {
		if strings.HasSuffix(name, suffix) {
			return slog.String(attr.Key, "***")
		}
	}
	return attr
}
