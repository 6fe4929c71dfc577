// Package translate knows the wire format of the OpenAI dialect: what a client's
// request asks for, what has to be changed in it for the upstream, how errors look,
// and how a stream that was cut is ended well.
//
// It works on bytes and JSON only. There are no sockets here and no clock: ids and
// times are passed in. What need not change is never decoded and written again, it
// keeps the bytes it came with: number literals, the order of keys, unknown members,
// odd escapes.
package translate
