package config

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/sethvargo/go-envconfig"

	"attendee-relay/internal/bytesize"
)

// notation says what the text of one value of a type looks like.
type notation struct {
	accepts string
	valid   func(text string) bool
}

// notations are the types a variable, or an element of its list, can have other than text. They are checked before
// go-envconfig decodes: it also takes what an operator did not mean (010 as octal, NaN, an empty element as zero, and
// 17 characters that are no network as the 17 bytes of one's binary form).
var notations = map[reflect.Type]notation{
	reflect.TypeFor[bool](): {"true or false", func(text string) bool {
		_, err := strconv.ParseBool(text)
		return err == nil
	}},
	reflect.TypeFor[int](): {"a whole number such as 8", func(text string) bool {
		n, err := strconv.Atoi(text)
		return err == nil && strconv.Itoa(n) == text
	}},
	reflect.TypeFor[float64](): {"a number such as 2.5", func(text string) bool {
		f, err := strconv.ParseFloat(text, 64)
		return err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
	}},
	reflect.TypeFor[time.Duration](): {"a duration with its unit such as 500ms, 15s, 5m or 24h", func(text string) bool {
		_, err := time.ParseDuration(text)
		return err == nil
	}},
	reflect.TypeFor[bytesize.Size](): {"a size such as 4MiB, 512KiB or a number of bytes", func(text string) bool {
		_, err := bytesize.Parse(text)
		return err == nil
	}},
	reflect.TypeFor[netip.Prefix](): {"a network such as 10.0.0.0/8 or fd00::/8", func(text string) bool {
		_, err := netip.ParsePrefix(text)
		return err == nil
	}},
}

// decode sets every variable's field. go-envconfig stops at the first error, so each field is decoded alone; a faulty
// one gets its default, so that validation still finds the faults of the others.
func decode(vars []variable, env *environment) (faults []string) {
	for _, v := range vars {
		text, given := env.values[v.name]
		if !given && v.blankKept && env.blank[v.name] {
			continue // the zero value is what was asked for
		}
		fault := ""
		switch {
		case given:
			fault = v.check(text)
		case env.spaces[v.name] && v.isSecrets():
			fault = "it has nothing but white space, which signs nothing; leave it out, or set it to a secret"
		case v.required && !env.broken[v.name]:
			fault = "it is required"
		}
		if fault == "" && !env.broken[v.name] {
			if v.decodeFrom(env) == nil {
				continue
			}
			fault = "its value is not understood"
		}
		if fault != "" {
			faults = append(faults, v.name+": "+fault)
		}
		if !v.required {
			// The default is the program's own text; a test decodes every one of them.
			_ = v.decodeFrom(envconfig.MapLookuper(nil))
		}
	}
	return faults
}

// check reports what is wrong with a text that is not blank; nothing: "".
func (v variable) check(text string) string {
	element, elements := v.value.Type(), []string{text}
	if v.isList() {
		element, elements = element.Elem(), strings.Split(text, ",")
	}
	form := notations[element]
	for i, item := range elements {
		item = strings.TrimSpace(item)
		switch {
		case item == "":
			return fmt.Sprintf("element %d of the list is empty; write the elements with one comma between them", i+1)
		case v.isText() || form.valid(item):
		case v.isList():
			return fmt.Sprintf("element %d of the list is not %s", i+1, form.accepts)
		default:
			return "it must be " + form.accepts
		}
	}
	return ""
}

// decodeFrom fills the one field by go-envconfig, through a struct that has only this field.
func (v variable) decodeFrom(lookuper envconfig.Lookuper) error {
	alone := reflect.New(reflect.StructOf([]reflect.StructField{v.declared}))
	err := envconfig.ProcessWith(context.Background(), &envconfig.Config{Target: alone.Interface(), Lookuper: lookuper})
	if err != nil {
		return fmt.Errorf("decoding %s: %w", v.name, err)
	}
	v.value.Set(alone.Elem().Field(0))
	return nil
}
