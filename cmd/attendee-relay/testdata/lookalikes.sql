-- Whoever may create things in public makes look-alikes of all that Postgres brings along: functions, aggregates and
-- operators of the same names and arguments, and of closer ones (the row types of tables where Postgres takes any
-- element); types, with casts to them; tables and views. Each one that is called raises an exception with SQLSTATE
-- PL666.
SET search_path = pg_catalog; -- or planting would call what is planted
CREATE TABLE public.planted (kind pg_catalog.text, name pg_catalog.text);
-- Postgres counts the calls of functions (track_functions), also in transactions that are rolled back, but not those
-- that end with an error.
CREATE FUNCTION public.counted() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RETURN; END $$;
CREATE FUNCTION public.ticked() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RETURN; END $$; -- tells that counts have arrived
CREATE FUNCTION public.caught() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM public.counted();
    RAISE EXCEPTION 'a look-alike was called' USING ERRCODE = 'PL666';
END $$;

DO $plant$
DECLARE
    f record;
    rows text[] := ARRAY['record', 'public.attendees', 'public.events', 'public.fees', 'public.form_fields',
                         'pg_catalog.pg_replication_slots', 'pg_catalog.pg_publication_rel', 'pg_catalog.name',
                         'pg_catalog.text', 'pg_catalog.int4', 'pg_catalog.int8', 'pg_catalog.oid',
                         'pg_catalog.regclass', 'pg_catalog.varchar', 'pg_catalog.numeric', 'pg_catalog.bool'];
    element text;
    given text;
    answer text;
BEGIN
    FOR f IN
        SELECT p.oid, p.proname, p.prokind, p.proargtypes, p.prorettype::pg_catalog.regtype AS answer, p.proretset,
               EXISTS (SELECT FROM unnest(p.proargtypes) a JOIN pg_catalog.pg_type t ON t.oid = a
                        WHERE t.typname IN ('any', 'anyelement', 'anycompatible', 'anynonarray', 'anyarray',
                                            'anycompatiblearray')) AS loose,
               EXISTS (SELECT FROM unnest(p.proargtypes || p.prorettype) a JOIN pg_catalog.pg_type t ON t.oid = a
                        WHERE t.typtype = 'p'
                          AND t.typname NOT IN ('any', 'anyelement', 'anycompatible', 'anynonarray', 'anyarray',
                                                'anycompatiblearray', 'record', 'void')) AS closed
          FROM pg_catalog.pg_proc p
         WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND p.prokind IN ('f', 'a') AND p.pronargs < 5
    LOOP
        CONTINUE WHEN f.closed;
        answer := CASE WHEN f.answer::text LIKE '%any%' THEN 'pg_catalog.text' ELSE f.answer::text END;
        FOREACH element IN ARRAY CASE WHEN f.loose THEN rows ELSE rows[4:4] END LOOP
            SELECT coalesce(string_agg(CASE WHEN t.typname IN ('anyarray', 'anycompatiblearray')
                                            THEN CASE WHEN element = 'record' THEN 'record[]' ELSE element || '[]' END
                                            WHEN t.typname LIKE 'any%' THEN element
                                            ELSE a.type::pg_catalog.regtype::text END, ', ' ORDER BY a.place), '')
              INTO given
              FROM unnest(f.proargtypes) WITH ORDINALITY AS a (type, place)
              JOIN pg_catalog.pg_type t ON t.oid = a.type;
            BEGIN
                IF f.prokind = 'a' AND given <> '' THEN
                    EXECUTE format('CREATE FUNCTION public.step_%s_%s(pg_catalog.text, %s) RETURNS pg_catalog.text '
                                   'LANGUAGE plpgsql AS $$ BEGIN PERFORM public.caught(); RETURN NULL; END $$',
                                   f.oid, md5(given), given);
                    EXECUTE format('CREATE AGGREGATE public.%I(%s) '
                                   '(SFUNC = public.step_%s_%s, STYPE = pg_catalog.text)',
                                   f.proname, given, f.oid, md5(given));
                ELSE
                    EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s %s LANGUAGE plpgsql AS $$ '
                                   'BEGIN PERFORM public.caught(); %s END $$',
                                   f.proname, given, CASE WHEN f.proretset THEN 'SETOF' ELSE '' END, answer,
                                   CASE WHEN f.proretset OR answer = 'void' THEN '' ELSE 'RETURN NULL;' END);
                END IF;
                INSERT INTO public.planted VALUES (CASE f.prokind WHEN 'a' THEN 'aggregate' ELSE 'function' END, f.proname);
            EXCEPTION WHEN OTHERS THEN NULL; -- not every name and type can be had
            END;
        END LOOP;
    END LOOP;

    FOR f IN
        SELECT o.oprname, o.oprleft::pg_catalog.regtype AS l, o.oprright::pg_catalog.regtype AS r,
               o.oprresult::pg_catalog.regtype AS answer
          FROM pg_catalog.pg_operator o
         WHERE o.oprnamespace = 'pg_catalog'::pg_catalog.regnamespace AND o.oprleft <> 0
         UNION ALL
        SELECT name, l::pg_catalog.regtype, r::pg_catalog.regtype, 'bool'::pg_catalog.regtype
          FROM unnest(ARRAY['=', '<>', '<', '>', '<=', '>=']) AS name,
               unnest('{oid,name,text,varchar,int2,int4,int8,regclass,"\"char\"",pg_lsn}'::pg_catalog.text[]) AS l,
               unnest('{oid,name,text,varchar,int2,int4,int8,regclass,"\"char\"",pg_lsn}'::pg_catalog.text[]) AS r
    LOOP
        BEGIN
            given := format('public.op_%s', md5(format('%s %s %s', f.oprname, f.l, f.r)));
            EXECUTE format('CREATE FUNCTION %s(%s, %s) RETURNS %s LANGUAGE plpgsql AS $$ '
                           'BEGIN PERFORM public.caught(); RETURN NULL; END $$', given, f.l, f.r, f.answer);
            EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = %s)',
                           f.oprname, f.l, f.r, given);
            INSERT INTO public.planted VALUES ('operator', f.oprname);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;

    FOR f IN
        SELECT t.typname FROM pg_catalog.pg_type t
         WHERE t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND t.typtype = 'b' AND t.typelem = 0
    LOOP
        -- A domain catches a constant as well. Casts to one are ignored, so these are composite types.
        IF f.typname IN ('oid', 'regclass', 'name', 'int8', 'float8', 'jsonb', 'pg_lsn', 'timestamptz') THEN
            EXECUTE format('CREATE TYPE public.%I AS (look pg_catalog.text)', f.typname);
            INSERT INTO public.planted VALUES ('type', f.typname);
            FOREACH element IN ARRAY ARRAY['text', 'varchar', 'name', '"char"', 'bool', 'int2', 'int4', 'int8', 'numeric', 'float8', 'oid', 'regclass',
                                           'pg_lsn', 'json', 'jsonb', 'timestamptz', 'xid', 'bytea', 'uuid', 'interval'] LOOP
                given := format('public.cast_%s', md5(f.typname || element));
                EXECUTE format('CREATE FUNCTION %s(pg_catalog.%s) RETURNS public.%I LANGUAGE plpgsql AS $$ BEGIN PERFORM public.caught(); RETURN NULL; END $$',
                               given, element, f.typname);
                EXECUTE format('CREATE CAST (pg_catalog.%s AS public.%I) WITH FUNCTION %s(pg_catalog.%s) AS IMPLICIT', element, f.typname, given, element);
                INSERT INTO public.planted VALUES ('cast', format('%s to %s', element, f.typname));
            END LOOP;
            CONTINUE;
        END IF;
        BEGIN
            EXECUTE format('CREATE DOMAIN public.%I AS pg_catalog.text CHECK (public.caught() IS NULL)', f.typname);
            INSERT INTO public.planted VALUES ('type', f.typname);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;

    FOR f IN
        SELECT c.relname FROM pg_catalog.pg_class c
         WHERE c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND c.relkind IN ('r', 'v')
    LOOP
        BEGIN -- with the same columns, and a row more, whatever is asked for
            EXECUTE format('CREATE VIEW public.%I AS SELECT c.* FROM (SELECT public.caught()) AS trap LEFT JOIN pg_catalog.%I c ON true', f.relname, f.relname);
            INSERT INTO public.planted VALUES ('relation', f.relname);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
END $plant$;
GRANT USAGE ON SCHEMA public TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
RESET search_path;
