package proxy

import (
	"errors"
	"io"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/proxy/upstream"
	"github.com/sluicehq/sluice/translate"
)

// upstreamFailure tells how a failed upstream operation ends an exchange. Nothing
// of the error's text reaches a client or a log: it may quote the provider.
func upstreamFailure(err error) (accounting.Outcome, string) {
	var failed *upstream.Error
	switch {
	case errors.As(err, &failed):
		if failed.Code == translate.CodeUpstreamConnectTimeout {
			return accounting.OutcomeUpstreamTimeout, failed.Code
		}
		return accounting.OutcomeUpstreamError, failed.Code
	case errors.Is(err, errGzip):
		return accounting.OutcomeUpstreamError, translate.CodeUpstreamBadEncoding
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return accounting.OutcomeUpstreamTruncated, translate.CodeUpstreamTruncated
	default:
		return accounting.OutcomeUpstreamError, translate.CodeUpstreamReset
	}
}

// headFailure is upstreamFailure before the head of the answer. There a reset is a
// close: which of the two a provider's leaving looks like only depends on whether it
// had read all of the request.
func headFailure(err error) (accounting.Outcome, string) {
	outcome, code := upstreamFailure(err)
	if code == translate.CodeUpstreamReset {
		code = translate.CodeUpstreamClosed
	}
	return outcome, code
}
