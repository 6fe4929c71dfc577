package wire

import (
	"net/http"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// AppendAWSSegment appends a segment of a path with all but RFC 3986's unreserved
// characters escaped. AWS's own SDKs put a model's name into the path like this, the
// colons of ids and the slashes of an ARN included, and AWS signs the path as it is sent,
// escaped once more.
func AppendAWSSegment(dst []byte, name string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(name) {
		if c := name[i]; translate.IsWord(c) || c == '.' || c == '~' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', digits[c>>4], digits[c&0xf])
		}
	}
	return dst
}

// awsExceptions are the exceptions that can end a stream of Bedrock, in lower case, with
// the statuses that AWS gives them but for two: to a client of ours it is not its request
// that took too long (408), and 424 says nothing to it.
//
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
var awsExceptions = map[string]int{
	"validationexception":           http.StatusBadRequest,
	"servicequotaexceededexception": http.StatusBadRequest,
	"accessdeniedexception":         http.StatusForbidden,
	"resourcenotfoundexception":     http.StatusNotFound,
	"throttlingexception":           http.StatusTooManyRequests,
	"modelnotreadyexception":        http.StatusTooManyRequests,
	"internalserverexception":       http.StatusInternalServerError,
	"modelerrorexception":           http.StatusBadGateway,
	"modelstreamerrorexception":     http.StatusBadGateway,
	"serviceunavailableexception":   http.StatusServiceUnavailable,
	"modeltimeoutexception":         http.StatusGatewayTimeout,
}

// AWSException reads an exception that ends a stream. Its kind becomes the code.
func AWSException(kind string, body []byte) *translate.Error {
	status := awsExceptions[strings.ToLower(kind)]
	if status == 0 {
		status = http.StatusBadGateway
	}
	e := translate.ErrorOfStatus(status, strings.Clone(kind), "")
	root, _ := jsonview.Parse(body)
	if inner := root.Get("error"); inner.IsObject() { // of a gateway in front of AWS
		root = inner
	}
	for _, name := range [...]string{"message", "Message", "originalMessage"} {
		if e.Message == "" {
			e.Message = strings.Clone(root.Get(name).Text())
		}
	}
	if e.Message == "" {
		e.Message = "The provider reported an error without saying which."
	}
	return e
}
