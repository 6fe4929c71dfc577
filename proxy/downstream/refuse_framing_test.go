package downstream

import (
	"fmt"
	"strings"
	"testing"
)

// row C7
func TestLengthAndCodingTogetherAreRefused(t *testing.T) {
	expectRefusals(t, []refusal{
		{"length and coding", postHead + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding and length", postHead + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400},
		{"no length and coding", postHead + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"length of the smuggled request and coding", postHead + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 5+len(smuggled)), 400},
		{"length and coding in odd case", postHead + "cOnTeNt-LeNgTh: 5\r\ntRaNsFeR-eNcOdInG: cHuNkEd\r\n\r\n0\r\n\r\n", 400},
		{"length and coding far apart", postHead + "Content-Length: 5\r\n" + strings.Repeat("A: b\r\n", 100) + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"length and coding for GET", "GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"length and identity", postHead + "Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello", 400},
		{"length and unknown coding", postHead + "Content-Length: 5\r\nTransfer-Encoding: x\r\n\r\nhello", 400},
		{"length and empty coding", postHead + "Content-Length: 5\r\nTransfer-Encoding: \r\n\r\nhello", 400},
		{"length and coding in HTTP/1.0", "POST /x HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"two lengths and coding", postHead + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", 400},
	})
}

// row C8
func TestObfuscatedCodingsAreRefused(t *testing.T) {
	expectRefusals(t, []refusal{
		{"coding twice", postHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding listed twice", postHead + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding gzip, chunked", postHead + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding identity", postHead + "Transfer-Encoding: identity\r\n\r\n", 400},
		{"coding identity with length", postHead + "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", 400},
		{"coding xchunked", postHead + "Transfer-Encoding: xchunked\r\n\r\n", 400},
		{"coding quoted", postHead + "Transfer-Encoding: \"chunked\"\r\n\r\n", 400},
		{"coding with parameter", postHead + "Transfer-Encoding: chunked;q=1\r\n\r\n", 400},
		{"coding empty", postHead + "Transfer-Encoding:\r\n\r\n", 400},
		{"coding behind vertical tab", postHead + "Transfer-Encoding: \vchunked\r\n\r\n", 400},
		{"coding folded", postHead + "Transfer-Encoding:\r\n chunked\r\n\r\n", 400},
		{"coding in HTTP/1.0", "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding chunked, gzip", postHead + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400},
		{"coding chunked, identity", postHead + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400},
		{"coding in two fields", postHead + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding in two fields, chunked first", postHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400},
		{"coding with an empty field", postHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n", 400},
		{"coding behind a comma", postHead + "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding in front of a comma", postHead + "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", 400},
		{"coding gzip", postHead + "Transfer-Encoding: gzip\r\n\r\n", 400},
		{"coding with a space inside", postHead + "Transfer-Encoding: chun ked\r\n\r\n", 400},
		{"coding with NUL", postHead + "Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n", 400},
		{"coding with a second CR", postHead + "Transfer-Encoding: chunked\r\r\n\r\n0\r\n\r\n", 400},
		{"coding with a space before the colon", postHead + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding with a tab before the colon", postHead + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding behind a space", postHead + "A: b\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding behind a bare CR", postHead + "A: b\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding behind a bare LF", postHead + "A: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding folded with its value", postHead + "Transfer-Encoding: chunked\r\n\tidentity\r\n\r\n0\r\n\r\n", 400},
		{"coding with a form feed", postHead + "Transfer-Encoding:\x0cchunked\r\n\r\n0\r\n\r\n", 400},
		{"coding with a next line character", postHead + "Transfer-Encoding: \xc2\x85chunked\r\n\r\n0\r\n\r\n", 400},
		{"coding of a Kelvin sign", postHead + "Transfer-Encoding: chun\u212Aed\r\n\r\n0\r\n\r\n", 400},
		{"coding without a colon", postHead + "Transfer-Encoding chunked\r\n\r\n0\r\n\r\n", 400},
	})
}

// row C4, C10
func TestOddLengthsAreRefused(t *testing.T) {
	expectRefusals(t, []refusal{
		{"length twice", postHead + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400},
		{"length twice alike", postHead + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400},
		{"length list", postHead + "Content-Length: 5, 5\r\n\r\nhello", 400},
		{"length signed", postHead + "Content-Length: +5\r\n\r\nhello", 400},
		{"length negative", postHead + "Content-Length: -5\r\n\r\nhello", 400},
		{"length hex", postHead + "Content-Length: 0x5\r\n\r\nhello", 400},
		{"length empty", postHead + "Content-Length: \r\n\r\n", 400},
		{"length with space inside", postHead + "Content-Length: 5 5\r\n\r\nhello", 400},
		{"length overflowing", postHead + "Content-Length: 99999999999999999999\r\n\r\n", 400},
		{"length above the limit", postHead + "Content-Length: 10000000000\r\n\r\n", 413},
		{"length twice, one of them nothing", postHead + "Content-Length: 5\r\nContent-Length:\r\n\r\nhello", 400},
		{"length list of two", postHead + "Content-Length: 5, 6\r\n\r\nhello", 400},
		{"length with a comma", postHead + "Content-Length: 5,\r\n\r\nhello", 400},
		{"length negative zero", postHead + "Content-Length: -0\r\n\r\n", 400},
		{"length with a point", postHead + "Content-Length: 5.0\r\n\r\nhello", 400},
		{"length with an exponent", postHead + "Content-Length: 5e0\r\n\r\nhello", 400},
		{"length with a parameter", postHead + "Content-Length: 5;a\r\n\r\nhello", 400},
		{"length with an underscore", postHead + "Content-Length: 1_0\r\n\r\nhellohello", 400},
		{"length quoted", postHead + "Content-Length: \"5\"\r\n\r\nhello", 400},
		{"length in other digits", postHead + "Content-Length: \u0665\r\n\r\nhello", 400},
		{"length with NUL", postHead + "Content-Length: 5\x00\r\n\r\nhello", 400},
		{"length behind a vertical tab", postHead + "Content-Length: \v5\r\n\r\nhello", 400},
		{"length folded", postHead + "Content-Length:\r\n 5\r\n\r\nhello", 400},
		{"length with a space before the colon", postHead + "Content-Length : 5\r\n\r\nhello", 400},
		{"length of 64 bits and five", postHead + "Content-Length: 18446744073709551621\r\n\r\nhello", 400},
		{"length of 63 bits", postHead + "Content-Length: 9223372036854775807\r\n\r\n", 413},
		{"length of 63 bits and one", postHead + "Content-Length: 9223372036854775808\r\n\r\n", 400},
		{"length just above the limit", postHead + "Content-Length: 33554433\r\n\r\n", 413},
	})
}

// row C4, C9, C10
func TestBadChunksAreRefused(t *testing.T) {
	expectRefusals(t, []refusal{
		{"chunk size with a space", chunkedHead + "3 \r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size behind a space", chunkedHead + " 3\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size with 0x", chunkedHead + "0x3\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size signed", chunkedHead + "+3\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size negative", chunkedHead + "-3\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size empty", chunkedHead + "\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size not hex", chunkedHead + "g\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size with bare LF", chunkedHead + "3\nabc\r\n0\r\n\r\n", 400},
		{"chunk size overflowing", chunkedHead + "ffffffffffffffff3\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size of 64 bits", chunkedHead + "ffffffffffffffff\r\nabc", 400},
		{"chunk size above the limit", chunkedHead + "ffffffff\r\nabc", 413},
		{"chunk longer than its size", chunkedHead + "2\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk ended by bare LF", chunkedHead + "3\r\nabc\n0\r\n\r\n", 400},
		{"chunk extension with bare LF", chunkedHead + "3;a\nabc\r\n0\r\n\r\n", 400},
		{"chunk extension with NUL", chunkedHead + "3;\x00\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk extension endless", chunkedHead + "3;" + strings.Repeat("a", maxExtensionBytes+1), 400},
		{"trailer with a space in its name", chunkedHead + "0\r\nA B: c\r\n\r\n", 400},
		{"trailer folded", chunkedHead + "0\r\nA: b\r\n c\r\n\r\n", 400},
		{"trailer with bare LF", chunkedHead + "0\r\nA: b\n\r\n", 400},
		{"trailer without a colon", chunkedHead + "0\r\nabc\r\n\r\n", 400},
		{"trailer endless", chunkedHead + "0\r\nA: " + strings.Repeat("a", maxTrailerBytes), 400},
		{"last chunk ended by bare LF", chunkedHead + "0\r\n\n", 400},
		{"chunk size with a tab", chunkedHead + "3\t\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size with a space and an extension", chunkedHead + "3 ;a\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size with bare CR", chunkedHead + "3\rabc\r\n0\r\n\r\n", 400},
		{"chunk size with two CRs", chunkedHead + "3\r\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size with NUL", chunkedHead + "3\x00\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size with an underscore", chunkedHead + "0_3\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size of seventeen digits", chunkedHead + "00000000000000003\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size of 32 bits and three", chunkedHead + "100000003\r\nabc\r\n0\r\n\r\n", 413},
		{"chunk size in other digits", chunkedHead + "\u0663\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk shorter than its size", chunkedHead + "4\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk ended by bare CR", chunkedHead + "3\r\nabc\r0\r\n\r\n", 400},
		{"chunk without an end", chunkedHead + "3\r\nabc0\r\n\r\n", 400},
		{"chunk extension with bare CR", chunkedHead + "3;a\rb\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk extension of the last chunk with bare LF", chunkedHead + "0;a\n\r\n", 400},
		{"chunk extensions endless in sum", chunkedHead + strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", maxExtensionBytes/1000+1), 400},
		{"chunks endless", chunkedHead + strings.Repeat("100000\r\n"+strings.Repeat("x", 1<<20)+"\r\n", 32) + "1\r\n", 413},
		{"trailer with a space before the colon", chunkedHead + "0\r\nA : b\r\n\r\n", 400},
		{"trailer without a name", chunkedHead + "0\r\n: b\r\n\r\n", 400},
		{"trailer with bare CR", chunkedHead + "0\r\nA: b\rc\r\n\r\n", 400},
		{"trailer with NUL", chunkedHead + "0\r\nA: b\x00\r\n\r\n", 400},
		{"trailer that is a request", chunkedHead + "0\r\nGET /y HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"last chunk ended by bare CR", chunkedHead + "0\r\rGET", 400},
		{"last chunk without an empty line", chunkedHead + "0\r\n", 400},
	})
}
