const wide = document.documentElement.scrollWidth - innerWidth;
if (wide <= 0) return [];
return [`${wide} px too wide`, ...Array.from(document.querySelectorAll('body *'))
  .filter((node) => node.getBoundingClientRect().right > innerWidth && !node.closest('.scroll'))
  .map((node) => `${node.tagName}#${node.id}.${node.getAttribute('class')}`)];
