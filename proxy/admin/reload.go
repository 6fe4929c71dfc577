package admin

import (
	"context"
	"errors"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/translate"
)

// FixedError is the error of a reload that would change settings which hold until the
// process ends.
type FixedError struct {
	// Settings are the paths of the settings, as listen or tls.cert_file.
	Settings []string
}

// Error names the settings.
func (e *FixedError) Error() string {
	return "these settings need a restart: " + strings.Join(e.Settings, ", ")
}

// reload loads the configuration again.
func (s *Server) reload(rc *fasthttp.RequestCtx, by string) {
	s.Logger.Info("a reload was asked for", "key", by)
	ctx, cancel := context.WithTimeout(context.Background(), reloadTime)
	defer cancel()
	err := s.Reload(ctx)
	var fixed *FixedError
	switch {
	case err == nil:
		writeJSON(rc, map[string]string{"status": "reloaded"})
		return
	case errors.As(err, &fixed):
		e := translate.NewError(translate.CodeFixedSetting)
		e.Message = "The configuration before goes on: " + fixed.Error()
		writeError(rc, e)
	default:
		e := translate.NewError(translate.CodeReloadFailed)
		e.Message = err.Error()
		writeError(rc, e)
	}
}
