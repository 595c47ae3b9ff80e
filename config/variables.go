package config

import (
	"reflect"
	"strings"

	"attendee-relay/internal/secret"
)

// fileSuffix, put after a variable's name, makes the variable that names a file to read it from.
const fileSuffix = "_FILE"

// variable is one field of a Config that an environment variable fills.
type variable struct {
	name     string
	fallback string
	required bool
	// blankKept: set but empty is a value of its own here, not "unset". A field says so with the tag blank:"kept".
	blankKept bool
	// value is the field itself; declared repeats name, type and tag for go-envconfig.
	value    reflect.Value
	declared reflect.StructField
}

// variables lists every variable of target, a pointer to a struct, with the fields of nested structs, in the order in
// which they are declared.
func variables(target any) []variable {
	var list []variable
	structure := reflect.ValueOf(target).Elem()
	for i := range structure.NumField() {
		field, value := structure.Type().Field(i), structure.Field(i)
		tag, tagged := field.Tag.Lookup("env")
		switch {
		case tagged:
			list = append(list, newVariable(field, tag, value))
		case value.Kind() == reflect.Struct && field.IsExported():
			list = append(list, variables(value.Addr().Interface())...)
		}
	}
	return list
}

func newVariable(field reflect.StructField, tag string, value reflect.Value) variable {
	name, options, _ := strings.Cut(tag, ",")
	options = strings.TrimSpace(options)
	fallback, _ := strings.CutPrefix(options, "default=")
	if options == "required" {
		fallback = ""
	}
	return variable{
		name:      name,
		fallback:  fallback,
		required:  options == "required",
		blankKept: field.Tag.Get("blank") == "kept",
		value:     value,
		declared:  reflect.StructField{Name: field.Name, Type: field.Type, Tag: field.Tag},
	}
}

// isList reports whether the variable holds a comma list.
func (v variable) isList() bool { return v.value.Kind() == reflect.Slice }

// isSecrets reports whether the variable holds a list of secrets: a slip there must not turn them off.
func (v variable) isSecrets() bool { return v.value.Type() == reflect.TypeFor[[]secret.String]() }

// isText reports whether any text is accepted, as far as the type goes.
func (v variable) isText() bool {
	element := v.value.Type()
	if v.isList() {
		element = element.Elem()
	}
	return element.Kind() == reflect.String || element == reflect.TypeFor[secret.String]()
}
