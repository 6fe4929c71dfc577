package wire

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/translate"
)

func TestAWSExceptions(t *testing.T) {
	f := func(kind, body string, want translate.Error) {
		t.Helper()
		want.Code = kind
		require.Equal(t, want, *AWSException(kind, []byte(body)))
	}
	f("throttlingException", `{"message":"Slow down"}`, translate.Error{Status: 429, Type: "rate_limit_error", Message: "Slow down"})
	f("ThrottlingException", `{"Message":"Slow down"}`, translate.Error{Status: 429, Type: "rate_limit_error", Message: "Slow down"})
	f("modelStreamErrorException", `{"originalMessage":"Boom","originalStatusCode":500}`, translate.Error{Status: 502, Type: "server_error", Message: "Boom"})
	f("modelTimeoutException", `{"error":{"message":"Late"}}`, translate.Error{Status: 504, Type: "timeout", Message: "Late"})
	f("validationException", `no JSON`, translate.Error{Status: 400, Type: "invalid_request_error", Message: "The provider reported an error without saying which."})
	f("", `{"message":1}`, translate.Error{Status: 502, Type: "server_error", Message: "The provider reported an error without saying which."})
}

func TestInputSchemas(t *testing.T) {
	f := func(schema string, strict bool, want string) {
		t.Helper()
		require.Equal(t, "x"+want, string(AppendInputSchema([]byte("x"), view(schema), strict)))
	}
	f(``, false, NoParameters)
	f(`{ }`, true, NoParameters)
	f(`{ "type" : "object" }`, false, `{"type":"object"}`)
	f(`{"properties":{"a":{"minimum":1}}}`, false, `{"type":"object","properties":{"a":{"minimum":1}}}`)
	f(`{"properties":{"a":{"minimum":1}}}`, true, `{"type":"object","properties":{"a":{"description":"{minimum: 1}"}},"additionalProperties":false}`)
	f(`{"minProperties":1}`, true, `{"type":"object","description":"{minProperties: 1}"}`)
}
