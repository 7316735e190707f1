/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/drain_api.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/near.h"
#include "controlplane/log.h"
#include "controlplane/view.h"

#define OK 200
#define BAD_REQUEST 400
#define NOT_FOUND 404
#define STORAGE_FAILED 507

static void near_note_backends(struct near *near, const struct plan_service *service)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < service->config->backends_count; i++)
		near_note(near, addr_format(&service->config->backends[i].address, text));
}

/* --- Which backends are meant --------------------------------------------------------- */

static json_t *refuse(unsigned *status, unsigned code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static json_t *refuse(unsigned *status, unsigned code, const char *format, ...)
{
	va_list arguments;
	json_t *text;

	*status = code;
	va_start(arguments, format);
	text = json_vsprintf(format, arguments);
	va_end(arguments);
	return text ? json_pack("{s:o}", "error", text)
		    : json_pack("{s:s}", "error", "the request is not UTF-8");
}

/* The service of that name. Where there is none, *refusal says so. */
static const struct plan_service *service_named(const struct plan *plan, const char *name,
						unsigned *status, json_t **refusal)
{
	struct near near = {.wanted = name};
	char quoted[NEAR_TEXT_MAX], text[NEAR_TEXT_MAX];

	for (size_t i = 0; i < plan->config->services_count; i++) {
		if (strcmp(plan->config->services[i].name, name) == 0)
			return &plan->services[i];
		near_note(&near, plan->config->services[i].name);
	}
	*refusal = refuse(status, NOT_FOUND, "there is no service '%s'%s", near_quote(name, quoted),
			  near_text(&near, text));
	return NULL;
}

/* A refusal unless the service, or any where that is NULL, has the backend. */
static json_t *backend_missing(const struct plan *plan, const struct plan_service *service,
			       const struct addr *address, unsigned *status)
{
	char wanted[ADDR_TEXT_MAX], text[NEAR_TEXT_MAX];
	struct near near = {.wanted = addr_format(address, wanted)};

	for (size_t i = 0; i < plan->config->services_count; i++) {
		if (service && service != &plan->services[i])
			continue;
		if (plan_backend_find(&plan->services[i], address))
			return NULL;
		near_note_backends(&near, &plan->services[i]);
	}
	if (service)
		return refuse(status, NOT_FOUND, "service %s has no backend %s%s",
			      service->config->name, wanted, near_text(&near, text));
	return refuse(status, NOT_FOUND, "no service has a backend %s%s", wanted,
		      near_text(&near, text));
}

/* --- Answers -------------------------------------------------------------------------- */

static json_t *backend_answer(const struct control *control, const struct plan_service *service,
			      const struct plan_backend *backend)
{
	const struct config_service *config = service->config;
	char address[ADDR_TEXT_MAX], vip[PREFIX_TEXT_MAX];

	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:o, s:o, s:I}", "address",
			 addr_format(&backend->config->address, address), "service", config->name,
			 "vip", prefix_format(&config->vip, vip), "protocol",
			 config->protocol == CONFIG_PROTOCOL_TCP ? "tcp" : "udp", "port",
			 config->port, "state", config_state_name(plan_backend_state(backend)),
			 "drain", view_drain(backend), "flows",
			 view_flows(control, service, backend), "drain_timeout_ms",
			 (json_int_t)config->drain_timeout_ms);
}

static bool any_eligible(const struct plan_service *service)
{
	for (size_t i = 0; i < service->config->backends_count; i++)
		if (plan_backend_eligible(&service->backends[i]))
			return true;
	return false;
}

/* What the operator may not have meant. */
static void warn(json_t *warnings, const struct plan_service *service,
		 const struct plan_backend *backend, bool drained)
{
	const char *name = service->config->name;
	char address[ADDR_TEXT_MAX];

	if (drained && !any_eligible(service))
		json_array_append_new(
			warnings,
			json_sprintf("service %s has no backend left for new flows: they are "
				     "dropped",
				     name));
	if (!drained && backend->config->state == CONFIG_STATE_DRAIN)
		json_array_append_new(
			warnings,
			json_sprintf("the file says `state: drain` for %s in service %s: it drains "
				     "until the file says otherwise",
				     addr_format(&backend->config->address, address), name));
}

static json_t *order_answer(const struct control *control, const struct plan_service *only,
			    const struct addr *address, bool drained, size_t changed)
{
	const struct plan *plan = control_plan(control);
	json_t *backends = json_array(), *warnings = json_array();

	for (size_t i = 0; i < plan->config->services_count; i++) {
		const struct plan_service *service = &plan->services[i];
		const struct plan_backend *backend = plan_backend_find(service, address);

		if (!backend || (only && only != service))
			continue;
		json_array_append_new(backends, backend_answer(control, service, backend));
		warn(warnings, service, backend, drained);
	}
	if (!control_published(control))
		json_array_append_new(warnings,
				      json_string("no dataplane has been told yet: shuntd could "
						  "not publish it, and tries again"));
	return json_pack("{s:I, s:I, s:o, s:o}", "changed", (json_int_t)changed, "generation",
			 (json_int_t)publisher_generation(control_publisher(control)), "backends",
			 backends, "warnings", warnings);
}

/* How many of the backends are not drained by an operator as they are to be. */
static size_t differing(const struct plan *plan, const struct plan_service *only,
			const struct addr *address, bool drained)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->config->services_count; i++) {
		const struct plan_backend *backend = plan_backend_find(&plan->services[i], address);

		if (backend && (!only || only == &plan->services[i]))
			count += (backend->drain.operator_since_s != 0) != drained;
	}
	return count;
}

json_t *drain_order(struct control *control, const char *address, const char *service, bool drained,
		    unsigned *status)
{
	const struct plan *plan = control_plan(control);
	const struct plan_service *only = NULL;
	char text[ADDR_TEXT_MAX], quoted[NEAR_TEXT_MAX];
	json_t *refusal = NULL;
	struct addr addr;
	size_t changed;
	int err;

	if (addr_parse(address, &addr) < 0)
		return refuse(status, BAD_REQUEST, "'%s' is not an address such as 10.0.1.1",
			      near_quote(address, quoted));
	if (service && !(only = service_named(plan, service, status, &refusal)))
		return refusal;
	refusal = backend_missing(plan, only, &addr, status);
	if (refusal)
		return refusal;
	changed = differing(plan, only, &addr, drained);
	err = changed ? control_drain(control, only, &addr, drained) : 0;
	if (err)
		return refuse(status, STORAGE_FAILED,
			      "nothing has changed: it cannot be kept in %s (%s)",
			      control_options(control)->state_dir, strerror(-err));
	if (changed)
		log_line("%s %s in %zu service%s, as an operator says", addr_format(&addr, text),
			 drained ? "drains" : "drains no more", changed, changed == 1 ? "" : "s");
	*status = OK;
	return order_answer(control, only, &addr, drained, changed);
}

json_t *drain_list(const struct control *control)
{
	const struct plan *plan = control_plan(control);
	json_t *list = json_array();

	for (size_t i = 0; i < plan->config->services_count; i++) {
		const struct plan_service *service = &plan->services[i];

		for (size_t k = 0; k < service->config->backends_count; k++)
			if (service->backends[k].drain.operator_since_s ||
			    service->backends[k].config->state == CONFIG_STATE_DRAIN)
				json_array_append_new(list, backend_answer(control, service,
									   &service->backends[k]));
	}
	return list;
}
