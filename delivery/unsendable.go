package delivery

// unsendable are the refusals for the content of the message itself: no request is made, and they say nothing about the
// endpoint.
var unsendable = []*Refusal{errSecret, errBlankSecret, errShortSecret, errUnsigned, errErased,
	errHeadersForm, errHeadersMany, errHeadersSize, errHeadersTwice, errHeadersName, errHeadersValue, errHeadersForbidden}
