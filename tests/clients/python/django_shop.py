"""The shop, with Django."""

import logging

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path
import sentry_sdk

from shop.cart import checkout

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=["django_shop.know_the_customer"],
)
django.setup()


def know_the_customer(get_response):
    def respond(request):
        sentry_sdk.set_user({"id": "7"})
        return get_response(request)

    return respond


def order(_request):
    return JsonResponse(checkout({"items": ["tea", "cup"]}))


def show(_request, number):
    logging.getLogger("shop").error("order %s is not to be found", number)
    return HttpResponse("not found", status=404)


urlpatterns = [path("orders", order), path("orders/<int:number>", show)]
app = get_wsgi_application()
