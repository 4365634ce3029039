// Swagger UI over the files this server ships; nothing is loaded from elsewhere.
const place = document.getElementById('swagger-ui');
window.SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  deepLinking: false,
  validatorUrl: null,
  supportedSubmitMethods: [],
});
