const __vite__mapDeps=(i,m=__vite__mapDeps,d=(m.f||(m.f=["./uPlot-CnsZ1jie.css"])))=>i.map(i=>d[i]);
var e,t,n,r,i,a,o,s,c,l,u,d=Symbol.for(`pv`),f={},p=[],m=/^m(i|n|o|s|text|space)$/,h=Array.isArray,g=p.slice,_=Object.assign;function v(e){e&&e.parentNode&&e.remove()}function y(e,t,n){var r,i,a,o={},s=arguments.length;for(a in t)a==`key`?r=t[a]:a==`ref`&&typeof e!=`function`?i=t[a]:o[a]=t[a];return s>2&&(o.children=s>3?g.call(arguments,2):n),b(e,o,r,i,null)}function b(n,r,i,a,o){var s={type:n,props:r,key:i,ref:a,__k:null,__:null,__b:0,__e:null,__c:null,constructor:d,__v:o||++t,__i:-1,__u:0};return!o&&e.vnode&&e.vnode(s),s}function x(e){return e.children}function S(e,t){this.props=e,this.context=t,this.__g=0}function C(e,t){if(t==null)return e.__&&C(e.__,e.__i+1);for(var n;t<e.__k.length;t++)if((n=e.__k[t])&&n.__e)return n.__e;return typeof e.type!=`function`||e.props.__P?null:C(e)}function w(t){var n,r=t.__v,i=r.__e,a=[],o=[],s=t.__P;s&&((n=_({constructor:d},r)).__v=r.__v+1,e.vnode&&e.vnode(n),re(s,n,r,t.__n,s.namespaceURI,32&r.__u?[i]:null,a,i||C(r),32&r.__u,o),n.__v=r.__v,n.__.__k[n.__i]=n,M(a,n,o),r.__=r.__e=null,n.__e!=i&&T(n))}function T(e){if((e=e.__)&&e.__c&&!e.props.__P)return e.__e=null,e.__k.some(function(t){return t&&(e.__e=t.__e)}),T(e)}function E(t){(8&t.__g||(t.__g|=8,r.push(t),a++))&&i==e.debounceRendering||((i=e.debounceRendering)||queueMicrotask)(D)}function D(){try{for(var e,t=1;r.length;)r.length>t&&r.sort(o),e=r.shift(),t=r.length,8&e.__g&&w(e)}finally{(a=r.length)&&(i||queueMicrotask)(D)}}function ee(e,t,n,r,i,a,o,s,c,l,u){var d,m,h,g,_,v,y=r.__k||p,b=t.length;for(c=O(n,t,y,c,b),d=0;d<b;d++)(h=n.__k[d])!=null&&(m=~h.__i&&y[h.__i]||f,h.__i=d,v=re(e,h,m,i,a,o,s,c,l,u),g=h.__e,(m.ref!=h.ref||8&m.__u)&&(m.ref&&N(m.ref,null,h,m),h.ref&&u.push(h.ref,h.__c||g,h)),_||=g,4&h.__u?(c=k(h,c,e,!m.__v),m.__e&&(m.__e=null)):typeof h.type==`function`&&v!==void 0?c=v:g&&(c=g.nextSibling),h.__u&=-21);return n.__e=_,c}function O(e,t,n,r,i){var a,o,s,c,l,u,f,p,m,g=n.length,_=g,v=0,y=0,S=e.__k=Array(i);for(a=0;a<i;a++)(o=t[a])!=null&&typeof o!=`boolean`&&typeof o!=`function`?(typeof o!=`object`||o.constructor===String?o=S[a]=b(null,o):h(o)?o=S[a]=b(x,{children:o}):o.constructor===d&&o.__b?o=S[a]=b(o.type,o.props,o.key,o.ref,o.__v):S[a]=o,c=a+v,o.__=e,o.__b=e.__b+1,s=null,~(l=o.__i=te(o,n,c,_))&&(_--,(s=n[l])&&(s.__u|=2)),s&&s.__v?(o.__u|=16,l==c-1?v--:l==c+1?v++:l!=c&&(l>c?v--:v++,y=1)):(~l||(i>g?v--:i<g&&v++),typeof o.type!=`function`&&(o.__u|=4))):S[a]=null;if(y){for(u=[],f=[],a=0;a<i;a++)if((o=S[a])&&16&o.__u){for(v=0,p=u.length;v<p;)u[m=v+p>>1]<o.__i?v=m+1:p=m;u[v]=o.__i,f[a]=v+1}for(v=u.length;a--;)f[a]&&(f[a]==v?v--:S[a].__u|=4)}if(_)for(a=0;a<g;a++)!(s=n[a])||2&s.__u||(s.__e==r&&(r=C(s)),se(s,s));return r}function k(e,t,n,r){var i,a,o,s;if(typeof e.type==`function`){if(e.props.__P)return t;if(i=e.__k)for(a=0;a<i.length;a++)i[a]&&(i[a].__=e,t=k(i[a],t,n,!1));return t}for(t&&!t.parentNode&&(t=C(e))&&!t.parentNode&&(t=null),o=e.__e,s=t;s&&s.nodeType==8;)s=s.nextSibling;for(o!=s&&(!r&&n.moveBefore&&o.parentNode?n.moveBefore(o,t):n.insertBefore(o,t||null)),t=o;(t&&=t.nextSibling)&&t.nodeType==8&&!t.data.startsWith(`$s`););return t}function te(e,t,n,r){var i,a=e.key,o=e.type,s=t[n],c=s&&!(2&s.__u);if(s===null&&a==null||c&&a==s.key&&o==s.type)return n;if(r>+!!c){for(i=n-1;i>=0;i--)if((s=t[i])&&!(2&s.__u)&&a==s.key&&o==s.type)return i;for(i=n+1;i<t.length;i++)if((s=t[i])&&!(2&s.__u)&&a==s.key&&o==s.type)return i}return-1}function ne(e,t,n){n??=``,t[0]==`-`?e.setProperty(t,n):e[t]=n}function A(e,t,n,r,i){var a,o;if(t==`style`){if(typeof n==`string`)e.style.cssText=n;else{if(typeof r==`string`&&(e.style.cssText=r=``),r)for(t in r)n&&t in n||ne(e.style,t);if(n)for(t in n)r&&n[t]==r[t]||ne(e.style,t,n[t])}}else if(t[0]==`o`&&t[1]==`n`)typeof n!=`function`&&(n=null),typeof r!=`function`&&(r=null),(e.__e||={})[t]=n,n&&r||(o=u[t]||(u[t]=j(t)),(e.__a||={})[t]=l,a=t!=(t=t.replace(c,`$1`)),(t=t.slice(2))[0]<`a`&&(t=t.toLowerCase()),n?e.addEventListener(t,o,a):e.removeEventListener(t,o,a));else{if(i==`http://www.w3.org/2000/svg`)t=t.replace(/xlink(H|:h)/,`h`).replace(/sName$/,`s`);else if(t!=`width`&&t!=`height`&&t!=`href`&&t!=`list`&&t!=`form`&&t!=`tabIndex`&&t!=`download`&&t!=`rowSpan`&&t!=`colSpan`&&t!=`role`&&t!=`popover`&&t in e)try{e[t]=n??``;return}catch{}if(typeof n==`function`)return;n==null||!1===n&&t[4]!=`-`?e.removeAttribute(t):e.setAttribute(t,t==`popover`&&n==1?``:n)}}function j(t){return function(n){var r=this.__e;if(r){if(r=r[t],n[s]==null)n[s]=l++;else if(n[s]<this.__a[t])return;return r(e.event?e.event(n):n)}}}function re(t,n,r,i,a,o,s,c,l,u){var f,m,g,y,b,w,T,E,D,O,k,te,ne,A,j,re,M,N,P=n.type;if(n.constructor!==d)return null;128&r.__u&&(l=32&r.__u,f=r.__c.__z)&&(n.__u|=l,m=o=[],f.nodeType==8?c=ie(f,o):o.push(f),c=o[0]||c),(f=e.__b)&&f(n);n:if(typeof P==`function`){g=s.length;try{if(E=n.props,D=(f=P.prototype)&&f.render,O=(f=P.contextType)&&i[f.__c],k=f?O?O.props.value:f.__:i,(y=r.__c)?(n.__c=y,2&y.__g&&(y.__g|=1)):(D?n.__c=y=new P(E,k):(n.__c=y=new S(E,k),y.constructor=P,y.render=ce),O&&O.sub(y),y.state||(y.state={}),y.__n=i,y.__g|=8,y.__h=[],y.__k=[]),D&&(y.__s||(y.__s=y.state),P.getDerivedStateFromProps&&(y.__s==y.state&&(y.__s=_({},y.__s)),_(y.__s,P.getDerivedStateFromProps(E,y.__s)))),b=y.props,w=y.state,y.__v=n,r.__c){if(E!==b&&D&&!P.getDerivedStateFromProps&&y.componentWillReceiveProps&&y.componentWillReceiveProps(E,k),n.__v==r.__v&&!(8&y.__g)||!(4&y.__g)&&y.shouldComponentUpdate&&!1===y.shouldComponentUpdate(E,y.__s,k)){n.__v!=r.__v&&(y.props=E,y.state=y.__s,y.__g&=-9),n.__e=r.__e,n.__k=r.__k,n.__k.some(function(e){e&&(e.__=n)}),p.push.apply(y.__h,y.__k),y.__k=[],y.__h.length&&s.push(y),c=C(r);break n}y.componentWillUpdate&&y.componentWillUpdate(E,y.__s,k),D&&y.componentDidUpdate&&y.__h.push(function(){y.componentDidUpdate(b,w,T)})}else D&&!P.getDerivedStateFromProps&&y.componentWillMount&&y.componentWillMount(),D&&y.componentDidMount&&y.__h.push(y.componentDidMount);y.context=k,y.props=E,y.__P=t,y.__g&=-5,te=e.__r,ne=D?25:0;do y.__g&=-9,te&&te(n),f=y.render(y.props,y.state=y.__s,y.context);while(8&y.__g&&++ne<25);D&&(p.push.apply(y.__h,y.__k),y.__k=[]),y.state=y.__s,y.getChildContext&&(i=_({},i,y.getChildContext())),D&&r.__c&&y.getSnapshotBeforeUpdate&&(T=y.getSnapshotBeforeUpdate(b,w)),A=f&&f.type===x&&f.key==null?f.props.children:f,E.__P&&(f=c,a=(t=E.__P).namespaceURI,l=o=null,r.props&&r.props.__P!=t&&(r.__k.some(function(e){e&&se(e,e)}),r.__k=null),c=r.__k?C(r,0):null),c=ee(t,h(A)?A:[A],n,r,i,a,o,s,c,l,u),E.__P&&(n.__e=null,c=f),n.__u&=-161,m&&m.some(v),y.__h.length&&s.push(y),1&y.__g&&(y.__g&=-4)}catch(t){if(s.length=g,n.__v=null,l||o){if(t&&t.then){if(n.__u|=128|l,o){for(~(M=o.indexOf(c||void 0))||(M=o.length);(N=o[M-1])&&N.nodeType==8;)M--;for(;M<o.length;M++)if(N=o[M]){if(o[M]=null,j){if(N==re)break}else{if(N.nodeType!=8)break;N.data.startsWith(`$s`)&&(re=ie(j=N))}}}if(!j){for(;c&&c.nodeType==8&&c.nextSibling;)c=c.nextSibling;j=c}(f=ie(j=n.__c.__z||(n.__c.__z=j)))?(n.__e=j,c=f):n.__e=c,c&&=c.nextSibling}else o&&o.some(v)}else n.__e=r.__e;n.__k||=r.__k||[],t&&t.then||ae(n),e.__e(t,n,r)}}else c=n.__e=oe(r.__e,n,r,i,a,o,s,l,u,t);return(f=e.diffed)&&f(n),c}function ie(e,t){if(e&&e.nodeType==8&&e.data.startsWith(`$s`))for(var n=1;e=e.nextSibling;){if(e.nodeType==8){if(e.data.startsWith(`$s`))n++;else if(e.data.startsWith(`/$s`)&&!--n)return e}t&&t.push(e)}}function ae(e){e&&(e.__c&&(e.__c.__g|=4),e.__k&&e.__k.some(ae))}function M(t,n,r){for(var i=0;i<r.length;)N(r[i++],r[i++],r[i++]);e.__c&&e.__c(n,t),t.some(function(n){try{t=n.__h,n.__h=[],t.some(function(e){e.call(n)})}catch(t){e.__e(t,n.__v)}})}function oe(t,n,r,i,a,o,s,c,l,u){var d,p,_,y,b,x,S,w,T=r.props||f,E=n.props,D=n.type;if(D==`svg`?a=`http://www.w3.org/2000/svg`:D==`math`?a=`http://www.w3.org/1998/Math/MathML`:a||=`http://www.w3.org/1999/xhtml`,o){for(d=0;d<o.length;d++)if((b=o[d])&&(D?b.localName==D:b.nodeType==3)){t=b,o[d]=null;break}}if(!t){if(w=u.ownerDocument||document,!D)return w.createTextNode(E);t=w.createElementNS(a,D,E.is?E:u),c&&=(e.__m&&e.__m(n,o),!1),o=null}if(D){if(u=D==`template`&&t.content||t,o=D==`textarea`&&E.defaultValue!=null?null:o&&g.call(u.childNodes),!c&&o)for(T={},d=0;d<t.attributes.length;d++)T[(b=t.attributes[d]).name]=b.value;for(d in T)b=T[d],d==`dangerouslySetInnerHTML`?_=b:d==`children`||d in E||d==`value`&&`defaultValue`in E||d==`checked`&&`defaultChecked`in E||A(t,d,null,b,a);for(d in E)b=E[d],d==`children`?y=b:d==`dangerouslySetInnerHTML`?p=b:d==`value`?x=b:d==`checked`?S=b:c&&typeof b!=`function`||T[d]===b||A(t,d,b,T[d],a);p?(c||_&&(p.__html==_.__html||p.__html==t.innerHTML)||(t.innerHTML=p.__html),n.__k=[]):(_&&(t.textContent=``),(D==`foreignObject`||a==`http://www.w3.org/1998/Math/MathML`&&m.test(D))&&(a=`http://www.w3.org/1999/xhtml`),ee(u,h(y)?y:[y],n,r,i,a,o,s,o?o[0]:r.__k&&C(r,0),c,l),o&&o.some(v)),c&&D!=`textarea`||(d=`value`,D==`progress`&&x==null?t.removeAttribute(d):x==null||x===t[d]&&(D!=`progress`||x)||A(t,d,x,T[d],a),d=`checked`,S!=null&&S!=t[d]&&A(t,d,S,T[d],a))}else T===E||c&&t.data==E||(t.data=E);return t}function N(t,n,r,i){try{typeof t==`function`?n?n.__x=t(n)||1:(i&&=i.__c||i.__e)&&(n=i.__x)&&(i.__x=null,typeof n==`function`?n():t(null)):t.current=n}catch(t){e.__e(t,r)}}function se(t,n,r){var i,a,o,s;if(e.unmount&&e.unmount(t),!(i=t.ref)||i.current&&i.current!=t.__e||N(i,null,n,t),i=t.__c){if(i.componentWillUnmount)try{i.componentWillUnmount()}catch(t){e.__e(t,n)}i.__P=i.__n=null}if(i=t.__k)for(s=0;s<i.length;s++)i[s]&&se(i[s],n,typeof t.type!=`function`||r&&!t.props.__P);!r&&(i=t.__c)&&(i=i.__z)&&(a=ie(i,o=[]))&&(i==t.__e&&o.some(v),v(a),v(i)),r||v(t.__e),t.__e=t.__c=t.__=null}function ce(e,t,n){return this.constructor(e,n)}function P(t,n){var r,i,a,o;e.__&&e.__(t,n),n.nodeType==9&&(n=n.documentElement),i=(r=t&&32&t.__u)?null:n.__k,n.__k=b(x,{children:[t]}),a=[],o=[],re(n,n.__k,i||f,f,n.namespaceURI,i?null:n.firstChild?g.call(n.childNodes):null,a,i?i.__e:n.firstChild,r,o),M(a,n.__k,o),n.__k.props.children=null}e={__e:function(e,t,n,r){for(var i,o,s;t=t.__;)if((i=t.__c)&&!(1&i.__g)){i.__g|=4;try{if((s=(o=i.constructor)&&o.getDerivedStateFromError)&&i.setState(o.getDerivedStateFromError(e)),i.componentDidCatch&&(i.componentDidCatch(e,r||{}),s=1),s&&8&i.__g)return void(i.__g|=2)}catch(t){e=t}}throw a=0,e}},t=0,n=function(e){return e!=null&&e.constructor===d},S.prototype.setState=function(e,t){var n=this.__s;n&&n!=this.state||(n=this.__s=_({},this.state)),typeof e==`function`&&(e=e(_({},n),this.props)),e&&(_(n,e),this.__v&&(t&&this.__k.push(t),E(this)))},S.prototype.forceUpdate=function(e){this.__v&&(this.__g|=4,e&&this.__h.push(e),E(this))},S.prototype.render=x,r=[],a=0,o=function(e,t){return e.__v.__b-t.__v.__b},s=Symbol(),c=/(PointerCapture)$|Capture$/i,l=0,u={};var le,F,ue,de,fe=Object.is,pe=0,me=[],he=[],I=e,ge=I.__b,_e=I.__r,ve=I.diffed,ye=I.__c,be=I.unmount,xe=I.__;function Se(e,t){I.__h&&I.__h(F,e,pe||t),pe=0;var n=F.__H||(F.__H={__:[],__h:[]});return e>=n.__.length&&n.__.push({}),n.__[e]}function L(e){return pe=1,Ce(Me,e)}function Ce(e,t,n){var r=Se(le++,2);if(r.t=e,!r.__c&&(r.__=[n?n(t):Me(void 0,t),function(e){var t=(r.__N||r.__)[0],n=r.t(t,e);fe(t,n)||(r.__N=[n,r.__[1]],r.__c.setState({}))}],r.__c=F,!F.__f)){F.__f=!0;var i=F.shouldComponentUpdate;F.shouldComponentUpdate=function(e,t,n){var r=this.__H;if(!r)return!0;var a=!1,o=this.props!=e;if(r.__.some(function(e){e.__N&&(a=!0,fe(e.__[0],e.__N[0])||(o=!0))}),i){var s=i.call(this,e,t,n);return a?s||o:s}return!a||o}}return r.__}function R(e,t){var n=Se(le++,3);!I.__s&&je(n.__H,t)&&(n.__P=!0,n.__=e,n.u=t,F.__H.__h.push(n))}function we(e,t){var n=Se(le++,4);!I.__s&&je(n.__H,t)&&(n.__P=!1,n.__=e,n.u=t,F.__h.push(n))}function z(e){return pe=5,B(function(){return{current:e}},[])}function B(e,t){var n=Se(le++,7);return je(n.__H,t)&&(n.__=e(),n.__H=t),n.__}function Te(){var e;do{for(;e=he.shift();)try{ke(e)}catch(t){I.__e(t,{__:(e=e.__P)&&e.__v})}for(;e=me.shift();){var t=e.__H;if(e.__P&&t)try{t.__h.some(ke),t.__h.some(Ae),t.__h=[]}catch(n){t.__h=[],I.__e(n,e.__v)}}}while(he.length)}I.__b=function(e){F=null,ge&&ge(e)},I.__=function(e,t){e&&t.__k&&t.__k.__m&&(e.__m=t.__k.__m),xe&&xe(e,t)},I.__r=function(e){_e&&_e(e),le=0;var t=(F=e.__c).__H;t&&(ue==F?F.__h=[]:(t.__h.some(ke),t.__h.some(Ae),le=0),t.__h=[],t.__.some(function(e){e.__N&&(e.__=e.__N),e.u=e.__N=void 0})),ue=F},I.diffed=function(e){ve&&ve(e);var t=e.__c;t&&t.__H&&(t.__H.__h.length&&Oe(me.push(t)),t.__H.__.some(function(e){e.u&&(e.__H=e.u)})),ue=F=null},I.__c=function(e,t){t.some(function(e){try{e.__h.some(ke),e.__h=e.__h.filter(function(e){return!e.__||Ae(e)})}catch(t){e.__h=[function(){throw t}]}}),ye&&ye(e,t)},I.unmount=function(e){be&&be(e);var t,n,r=e.__c;r&&r.__H&&(r.__H.__.some(function(r){try{if(r.__P&&r.__c){if(n===void 0){for(n=e.__;n&&(!n.__c||!n.__c.__P);)n=n.__;n&&=n.__c}r.__P=n,Oe(he.push(r))}else ke(r)}catch(e){t=e}}),r.__H=void 0,t&&I.__e(t,r.__v))};var Ee=typeof requestAnimationFrame==`function`;function De(e){var t,n=function(){clearTimeout(r),Ee&&cancelAnimationFrame(t),setTimeout(e)},r=setTimeout(n,35);Ee&&(t=requestAnimationFrame(n))}function Oe(e){e!=1&&de==I.requestAnimationFrame||((de=I.requestAnimationFrame)||De)(Te)}function ke(e){var t=F,n=e.__c;typeof n==`function`&&(e.__c=void 0,n()),F=t}function Ae(e){var t=F;e.__c=e.__(),F=t}function je(e,t){return!e||e.length!=t.length||t.some(function(t,n){return!fe(t,e[n])})}function Me(e,t){return typeof t==`function`?t(e):t}var Ne=Symbol.for(`preact-signals`);function Pe(){if(H>1)H--;else{var e,t=!1;for((function(){var e=He;for(He=void 0;e!==void 0;){var t=e.S;if(t.v===e.v)for(var n=t.t;n!==void 0;n=n.x)n.i===e.i&&(n.i=t.i);e=e.o}})();Re!==void 0;){var n=Re;for(Re=void 0,ze++;n!==void 0;){var r=n.u;if(n.u=void 0,n.f&=-3,!(8&n.f)&&Ge(n))try{n.c()}catch(n){t||=(e=n,!0)}n=r}}if(ze=0,H--,t)throw e}}function Fe(e){if(H>0)return e();Ve=++Be,H++;try{return e()}finally{Pe()}}var Ie,V=void 0;function Le(e){var t=V,n=Ie;V=void 0,Ie=void 0;try{return e()}finally{V=t,Ie=n}}var Re=void 0,H=0,ze=0,Be=0,Ve=0,He=void 0,Ue=0;function We(e){if(V!==void 0){var t=e.n;if(t===void 0||t.t!==V)return t={i:0,S:e,p:V.s,n:void 0,t:V,e:void 0,x:void 0,r:t},V.s!==void 0&&(V.s.n=t),V.s=t,e.n=t,32&V.f&&e.S(t),t;if(t.i===-1)return t.i=0,t.n!==void 0&&(t.n.p=t.p,t.p!==void 0&&(t.p.n=t.n),t.p=V.s,t.n=void 0,V.s.n=t,V.s=t),t}}function U(e,t){this.v=e,this.i=0,this.n=void 0,this.t=void 0,this.l=0,this.W=t?.watched,this.Z=t?.unwatched,this.name=t?.name}U.prototype.brand=Ne,U.prototype.h=function(){return!0},U.prototype.S=function(e){var t=this,n=this.t;n!==e&&e.e===void 0&&(e.x=n,this.t=e,n===void 0?Le(function(){var e;(e=t.W)==null||e.call(t)}):n.e=e)},U.prototype.U=function(e){var t=this;if(this.t!==void 0){var n=e.e,r=e.x;n!==void 0&&(n.x=r,e.e=void 0),r!==void 0&&(r.e=n,e.x=void 0),e===this.t&&(this.t=r,r===void 0&&Le(function(){var e;(e=t.Z)==null||e.call(t)}))}},U.prototype.subscribe=function(e){var t=this;return et(function(){var n=t.value;Le(function(){return e(n)})},{name:`sub`})},U.prototype.valueOf=function(){return this.value},U.prototype.toString=function(){return this.value+``},U.prototype.toJSON=function(){return this.value},U.prototype.peek=function(){var e=this;return Le(function(){return e.value})},Object.defineProperty(U.prototype,"value",{get:function(){var e=We(this);return e!==void 0&&(e.i=this.i),this.v},set:function(e){if(e!==this.v){if(ze>100)throw Error(`Cycle detected`);(function(e){H!==0&&ze===0&&e.l!==Ve&&(e.l=Ve,He={S:e,v:e.v,i:e.i,o:He})})(this),this.v=e,this.i++,Ue++,H++;try{for(var t=this.t;t!==void 0;t=t.x)t.t.N()}finally{Pe()}}}});function W(e,t){return new U(e,t)}function Ge(e){for(var t=e.s;t!==void 0;t=t.n)if(t.S.i!==t.i||!t.S.h()||t.S.i!==t.i)return!0;return!1}function Ke(e){for(var t=e.s;t!==void 0;t=t.n){var n=t.S.n;if(n!==void 0&&(t.r=n),t.S.n=t,t.i=-1,t.n===void 0){e.s=t;break}}}function qe(e){for(var t=e.s,n=void 0;t!==void 0;){var r=t.p;t.i===-1?(t.S.U(t),r!==void 0&&(r.n=t.n),t.n!==void 0&&(t.n.p=r)):n=t,t.S.n=t.r,t.r!==void 0&&(t.r=void 0),t=r}e.s=n}function Je(e,t){U.call(this,void 0,t),this.x=e,this.s=void 0,this.g=Ue-1,this.f=4}Je.prototype=new U,Je.prototype.h=function(){if(this.f&=-3,1&this.f)return!1;if((36&this.f)==32||(this.f&=-5,this.g===Ue))return!0;if(this.g=Ue,this.f|=1,this.i>0&&!Ge(this))return this.f&=-2,!0;var e=V;try{Ke(this),V=this;var t=this.x();(16&this.f||this.v!==t||this.i===0)&&(this.v=t,this.f&=-17,this.i++)}catch(e){this.v=e,this.f|=16,this.i++}return V=e,qe(this),this.f&=-2,!0},Je.prototype.S=function(e){if(this.t===void 0){this.f|=36;for(var t=this.s;t!==void 0;t=t.n)t.S.S(t)}U.prototype.S.call(this,e)},Je.prototype.U=function(e){if(this.t!==void 0&&(U.prototype.U.call(this,e),this.t===void 0)){this.f&=-33;for(var t=this.s;t!==void 0;t=t.n)t.S.U(t)}},Je.prototype.N=function(){if(!(2&this.f)){this.f|=6;for(var e=this.t;e!==void 0;e=e.x)e.t.N()}},Object.defineProperty(Je.prototype,"value",{get:function(){if(1&this.f)throw Error(`Cycle detected`);var e=We(this);if(this.h(),e!==void 0&&(e.i=this.i),16&this.f)throw this.v;return this.v}});function Ye(e,t){return new Je(e,t)}function Xe(e){var t=e.j;if(e.j=void 0,typeof t==`function`){H++;var n=V;V=void 0;try{t()}catch(t){throw e.f&=-2,e.f|=8,Ze(e),t}finally{V=n,Pe()}}}function Ze(e){for(var t=e.s;t!==void 0;t=t.n)t.S.U(t);e.x=void 0,e.s=void 0,Xe(e)}function Qe(e){if(V!==this)throw Error(`Out-of-order effect`);qe(this),V=e,this.f&=-2;try{8&this.f&&Ze(this)}finally{Pe()}}function $e(e,t){this.x=e,this.j=void 0,this.s=void 0,this.u=void 0,this.f=32,this.name=t?.name,Ie&&Ie.push(this)}$e.prototype.c=function(){var e=this.S();try{if(8&this.f||this.x===void 0)return;var t=this.x();typeof t==`function`&&(this.j=t)}finally{e()}},$e.prototype.S=function(){if(1&this.f)throw Error(`Cycle detected`);this.f|=1,this.f&=-9,Xe(this),Ke(this),H++;var e=V;return V=this,Qe.bind(this,e)},$e.prototype.N=function(){2&this.f||(this.f|=2,this.u=Re,Re=this)},$e.prototype.d=function(){this.f|=8,1&this.f||Ze(this)},$e.prototype.dispose=function(){this.d()};function et(e,t){var n=new $e(e,t);try{n.c()}catch(e){throw n.d(),e}var r=n.d.bind(n);return r[Symbol.dispose]=r,r}var tt,nt,rt=typeof window<`u`&&!!window.__PREACT_SIGNALS_DEVTOOLS__,it=[];et(function(){tt=this.N})();function at(t,n){e[t]=n.bind(null,e[t]||function(){})}function ot(e){if(nt){var t=nt;nt=void 0,t()}nt=e&&e.S()}function st(e){var t=this,r=e.data,i=lt(r);i.name=`ReactiveDom`,i.value=r;var a=B(function(){for(var e=t,r=t.__v;r=r.__;)if(r.__c){r.__c.__$f|=4;break}var a=Ye(function(){var e=i.value.value;return e===0?0:!0===e?``:e||``}),o=Ye(function(){return!Array.isArray(a.value)&&!n(a.value)}),s=et(function(){if(this.N=ft,o.value){var t=a.value;e.__v&&e.__v.__e&&e.__v.__e.nodeType===3&&(e.__v.__e.data=t)}}),c=t.__$u.d;return t.__$u.d=function(){s(),c.call(this)},[o,a]},[]),o=a[0],s=a[1];return o.value?s.peek():s.value}st.displayName=`ReactiveTextNode`,Object.defineProperties(U.prototype,{constructor:{configurable:!0,value:y(x,null).constructor},type:{configurable:!0,value:st},props:{configurable:!0,get:function(){var e=this;return{data:{get value(){return e.value}}}}},__b:{configurable:!0,value:1}}),at(`__b`,function(e,t){if(ot(),typeof t.type==`string`){var n,r=t.props;for(var i in r)if(i!==`children`){var a=r[i];a instanceof U&&(n||(t.__np=n={}),n[i]=a,r[i]=a.peek())}}e(t)}),at(`__r`,function(e,t){if(e(t),t.type!==x){ot();var n,r=t.__c;r&&(r.__$f&=-2,(n=r.__$u)===void 0&&(r.__$u=n=function(e,t){var n;return et(function(){n=this},{name:t}),n.c=e,n}(function(e){return function(){var t;rt&&((t=this.y)==null||t.call(this)),e.__$f|=1,e.setState({})}}(r),typeof t.type==`function`?t.type.displayName||t.type.name:``))),ot(n)}}),at(`__e`,function(e,t,n,r){ot(),e(t,n,r)}),at(`diffed`,function(e,t){ot();var n;if(typeof t.type==`string`&&(n=t.__e)){var r=t.__np,i=t.props,a=n.U;if(a)for(var o in a){var s=a[o];s===void 0||r&&o in r||(s.d(),a[o]=void 0)}if(r)for(var c in a||(a={},n.U=a),r){var l=a[c],u=r[c];l===void 0?(l=ct(n,c,u,i),a[c]=l):l.o(u,i)}}e(t)});function ct(e,t,n,r){var i=t in e&&e.ownerSVGElement===void 0,a=W(n);return{o:function(e,t){a.value=e,r=t},d:et(function(){this.N=ft;var n=a.value.value;r[t]!==n&&(r[t]=n,i?e[t]=n:n!=null&&(!1!==n||t[4]===`-`)?e.setAttribute(t,n):e.removeAttribute(t))})}}at(`unmount`,function(e,t){if(typeof t.type==`string`){var n=t.__e;if(n){var r=n.U;if(r)for(var i in n.U=void 0,r){var a=r[i];a&&a.d()}}var o=t.__np;if(o){var s=t.props;for(var c in o)s[c]=o[c]}t.__np=void 0}else{var l=t.__c;if(l){l.__$f|=8;var u=l.__$u;u&&(l.__$u=void 0,u.d())}}e(t)}),at(`__h`,function(e,t,n,r){r<3&&(t.__$f|=2),e(t,n,r)}),S.prototype.shouldComponentUpdate=function(e,t){if(this.__R)return!0;var n=this.__$u,r=n&&n.s!==void 0;for(var i in t)return!0;if(this.__f||typeof this.u==`boolean`&&!0===this.u){var a=2&this.__$f;if(!(r||a||4&this.__$f)||1&this.__$f)return!0}else if(!(r||4&this.__$f)||3&this.__$f)return!0;for(var o in e)if(o!==`__source`&&e[o]!==this.props[o])return!0;for(var s in this.props)if(!(s in e))return!0;return!1};function lt(e,t){return B(function(){return W(e,t)},[])}var ut=function(e){queueMicrotask(function(){queueMicrotask(e)})};function dt(){Fe(function(){for(var e;e=it.shift();)tt.call(e)})}function ft(){it.push(this)===1&&(e.requestAnimationFrame||ut)(dt)}var pt=class{constructor(e){this.text=e}toString(){return this.text}valueOf(){return Number(this.text)}toJSON(){return JSON.rawJSON?JSON.rawJSON(this.text):Number(this.text)}},mt=(e,t,n)=>typeof t==`number`&&n?.source!==void 0&&n.source!==String(t)&&!/e/i.test(n.source)?new pt(n.source):t,ht=e=>JSON.parse(e,mt);function gt(e){return e==null?`NULL`:typeof e==`object`&&!(e instanceof pt)?JSON.stringify(e):String(e)}function _t(e){return typeof e==`number`?e:e instanceof pt?Number(e):null}var vt=/^(WINDOWSTART|WINDOWEND)$/i,yt=(e,t)=>vt.test(e)&&/^BIGINT/.test(t??``);function bt(e,t){let n=e.bound?_t(t):null,r=n===null?null:new Date(n);return r===null||Number.isNaN(r.getTime())?gt(t):r.toISOString().slice(0,-1)}var xt=`penstock.authorization`,G=W(void 0),St=W(!1),Ct=sessionStorage.getItem(xt),wt=class extends Error{constructor(e,t){super(t?.parts?.message??t?.message??`the server answered ${e}`),this.status=e,this.span=t?.parts?.span??null,this.suggestion=t?.parts?.suggestion??null,this.expected=t?.parts?.expected??[]}};async function Tt(e,{method:t=`GET`,body:n,accept:r=`application/json`,signal:i}={}){let a={accept:r,"penstock-client":`console`};Ct&&(a.authorization=Ct),n!==void 0&&(a[`content-type`]=`application/json`);let o=new URL(`../`,location.href),s;try{s=await fetch(new URL(e.replace(/^\//,``),o),{method:t,headers:a,body:n===void 0?void 0:JSON.stringify(n),signal:i,credentials:`omit`,cache:`no-store`})}catch(e){throw e.name!==`AbortError`&&(St.value=!0),e}if(St.value=!1,s.ok)return s;let c=await s.text(),l=null;try{l=JSON.parse(c)}catch{l={message:c.slice(0,300)}}throw s.status===401&&(G.value=null),new wt(s.status,l)}var K=async(e,t)=>ht(await(await Tt(e,t)).text()),Et=async(e,t,n)=>ht(await(await Tt(e,{method:`POST`,body:t,...n})).text()),Dt=e=>btoa(String.fromCharCode(...new TextEncoder().encode(e)));async function Ot(e,t){Ct=e?`Basic ${Dt(`${e}:${t}`)}`:`Bearer ${t}`;try{G.value=await K(`/v1/account`),sessionStorage.setItem(xt,Ct)}catch(e){throw Ct=null,e}}function kt(){Ct=null,sessionStorage.removeItem(xt),G.value=null}async function At(){try{G.value=await K(`/v1/account`)}catch(e){if(e.status!==401)throw e}}var jt={streamsProperties:{},sessionVariables:{}},Mt=()=>structuredClone(jt);function Nt(e){let{kind:t,name:n,value:r}=e;t===`set`&&(jt.streamsProperties[n]=r),t===`unset`&&delete jt.streamsProperties[n],t===`define`&&(jt.sessionVariables[n]=r),t===`undefine`&&delete jt.sessionVariables[n]}var Pt=(e,t)=>Et(`/v1/execute`,{ksql:e,...jt},t);async function*Ft(e,{signal:t,gate:n}={}){let r=await Tt(`/query-stream`,{method:`POST`,body:{sql:e,...jt},accept:`text/event-stream`,signal:t});for await(let e of Lt(r.body,`

`,n)){let t=[];for(let n of e){let e=n.startsWith(`event: `)?n.indexOf(`
`):-1,r=e<0?`row`:n.slice(7,e),i=ht(n.slice(e+1).replace(/^data: /,``));if(r===`row`||r===`tombstone`)t.push({row:i,tombstone:r===`tombstone`});else if(r===`header`)yield{header:{columns:i.columnNames,types:i.columnTypes}};else if(r===`failure`)throw new wt(500,i);else r===`end`&&(yield{rows:t.splice(0),end:i})}t.length&&(yield{rows:t})}}async function*It(e,{signal:t,gate:n}={}){let r=await Tt(`/query-stream`,{method:`POST`,body:{sql:e,...jt},accept:`application/vnd.ksqlapi.delimited.v1`,signal:t});for await(let e of Lt(r.body,`
`,n))yield e}async function*Lt(e,t,n){let r=e.pipeThrough(new TextDecoderStream).getReader(),i=``;try{for(;;){await n?.();let{value:e,done:a}=await r.read();if(await n?.(),a)break;let o=(i+e).split(t);i=o.pop(),o.length&&(yield o)}i.trim()&&(yield[i])}finally{r.cancel().catch(()=>{})}}async function Rt(e){let t={columns:[],rows:[]};for await(let n of Ft(e)){n.header&&(t.columns=n.header.columns);for(let{row:e}of n.rows??[])t.rows.push(e)}return t}var zt=e=>"`"+e.replaceAll("`","``")+"`",Bt=e=>`'`+e.replaceAll(`'`,`''`)+`'`,Vt=function(e,t,n,r){var i;t[0]=0;for(var a=1;a<t.length;a++){var o=t[a++],s=t[a]?(t[0]|=o?1:2,n[t[a++]]):t[++a];o===3?r[0]=s:o===4?r[1]=Object.assign(r[1]||{},s):o===5?(r[1]=r[1]||{})[t[++a]]=s:o===6?r[1][t[++a]]+=s+``:o?(i=e.apply(s,Vt(e,s,n,[``,null])),r.push(i),s[0]?t[0]|=2:(t[a-2]=0,t[a]=i)):r.push(s)}return r},Ht=new Map;function Ut(e){var t=Ht.get(this);return t||(t=new Map,Ht.set(this,t)),(t=Vt(this,t.get(e)||(t.set(e,t=function(e){for(var t,n,r=1,i=``,a=``,o=[0],s=function(e){r===1&&(e||(i=i.replace(/^\s*\n\s*|\s*\n\s*$/g,``)))?o.push(0,e,i):r===3&&(e||i)?(o.push(3,e,i),r=2):r===2&&i===`...`&&e?o.push(4,e,0):r===2&&i&&!e?o.push(5,0,!0,i):r>=5&&((i||!e&&r===5)&&(o.push(r,0,i,n),r=6),e&&(o.push(r,e,0,n),r=6)),i=``},c=0;c<e.length;c++){c&&(r===1&&s(),s(c));for(var l=0;l<e[c].length;l++)t=e[c][l],r===1?t===`<`?(s(),o=[o],r=3):i+=t:r===4?i===`--`&&t===`>`?(r=1,i=``):i=t+i[0]:a?t===a?a=``:i+=t:t===`"`||t===`'`?a=t:t===`>`?(s(),r=1):r&&(t===`=`?(r=5,n=i,i=``):t===`/`&&(r<5||e[c][l+1]===`>`)?(s(),r===3&&(o=o[0]),r=o,(o=o[0]).push(2,0,r),r=0):t===` `||t===`	`||t===`
`||t===`\r`?(s(),r=2):i+=t),r===3&&i===`!--`&&(r=4,o=o[0])}return s(),o}(e)),t),arguments,[])).length>1?t:t[0]}var q=Ut.bind(y),Wt=({state:e})=>q`<span class=${`state ${String(e).toLowerCase()}`}>${e}</span>`;function J({error:e,what:t}){return e?q`<p class="failure" role="alert"><strong>${t??`That did not work`}:</strong> ${e.message}${e.suggestion?`\n${e.suggestion}`:``}</p>`:null}var Gt=()=>q`<p class="empty" role="status">Loading …</p>`,Kt=({label:e,value:t,note:n,alarm:r})=>q`
  <div class=${`tile ${r?`alarm`:``}`}>
    <div class="tile-label">${e}</div>
    <div class="tile-value">${t}</div>
    ${n&&q`<div class="tile-note">${n}</div>`}
  </div>
`;function Y({label:e,columns:t,rows:n,right:r=[]}){return q`
    <div class="table-box" role="region" aria-label=${e} tabindex="0">
      <table>
        <thead>
          <tr>${t.map((e,t)=>q`<th scope="col" class=${r.includes(t)?`right`:``}>${e}</th>`)}</tr>
        </thead>
        <tbody>
          ${n.map(e=>q`<tr>${e.map((e,t)=>q`<td class=${r.includes(t)?`right`:``}>${e}</td>`)}</tr>`)}
        </tbody>
      </table>
    </div>
  `}var qt=W(null),Jt=(e,t,n)=>new Promise(r=>{qt.value={title:e,text:t,yes:n,answer:r}});function Yt({title:e,onClose:t,children:n}){let r=z(null);return R(()=>{r.current.showModal()},[]),q`
    <dialog ref=${r} aria-label=${e} onClose=${t} onCancel=${t}>
      <h2>${e}</h2>
      ${n}
    </dialog>
  `}function Xt(){let e=qt.value;if(!e)return null;let t=t=>{qt.value===e&&(qt.value=null,e.answer(t))};return q`
    <${Yt} key=${e.title} title=${e.title} onClose=${()=>t(!1)}>
      <p>${e.text}</p>
      <div class="bar end">
        <button autofocus onClick=${()=>t(!1)}>Cancel</button>
        <button class="danger" onClick=${()=>t(!0)}>${e.yes}</button>
      </div>
    <//>
  `}var Zt=()=>location.hash.replace(/^#\/?/,``).split(`?`)[0].split(`/`).filter(Boolean).map(decodeURIComponent),Qt=()=>Object.fromEntries(new URLSearchParams(location.hash.split(`?`)[1]??``)),$t=W(Zt()),en=W(Qt());addEventListener(`hashchange`,()=>{en.value=Qt(),$t.value=Zt()});var X=(...e)=>`#/`+e.map(encodeURIComponent).join(`/`),tn=(...e)=>{location.hash=X(...e)},nn=1e5,rn=0,an=class{constructor(e,t,n){this.id=++rn,this.sql=e,this.kind=t,this.start=n,this.columns=null,this.types=null,this.result=null,this.error=null,this.note=``,this.state=`running`,this.dropped=0,this.paused=W(!1),this.version=W(0),this.beganMs=performance.now(),this.tookMs=null,this.firstMs=null,this.stopper=new AbortController,this.rows=[],this.waiting=null,this.frame=0}get live(){return this.kind===`push`||this.kind===`print`}get count(){return this.rows.length}row=e=>this.rows[e];add(e){for(let{row:t,tombstone:n}of e)this.rows.push({cells:t,muted:n});if(this.rows.length>nn*1.1){let e=this.rows.length-nn;this.rows.splice(0,e),this.dropped+=e}this.changed()}changed(){this.frame||=requestAnimationFrame(()=>{this.frame=0,this.version.value++})}end(e,t=null){this.state===`running`&&(this.state=e,this.error=t,this.tookMs=performance.now()-this.beganMs,this.changed())}pause(e){this.paused.value=e,e||this.waiting?.()}stop(){this.stopper.abort(),this.pause(!1),this.end(`stopped`)}gate=()=>this.paused.value?new Promise(e=>this.waiting=e):void 0};async function on(e,t,n){let r=await Et(`/v1/check`,{text:e,...Mt()}),i=r.statements;if(!n){let{from:e,to:n}=t;if(e!==n)i=i.filter(t=>t.start<n&&t.end>e);else{let t=i.filter(t=>t.start<=e);i=t.length?[t.at(-1)]:i.slice(0,1)}}return{statements:i,problems:r.problems}}async function sn(e,t,n,r){for(let i of t){let t=new an(e.slice(i.start,i.end),i.kind,i.start);if(r(t),i.kind===`wrong`){let e=n.find(e=>e.start>=i.start&&e.start<=i.end),r=new wt(400,{message:e?.message??`this is no statement`});r.suggestion=e?.suggestion??null,r.place=e?[e.start,e.end]:[i.start,i.end],t.end(`failed`,r);return}let a=cn(t,i);if(!t.live&&(await a,t.state!==`done`))return}}async function cn(e,t){let n={signal:e.stopper.signal,gate:e.gate};try{if(t.kind===`print`){e.columns=[`RECORD`],e.types=[`STRING`];for await(let t of It(e.sql,n))e.add(t.map(e=>({row:[e]})))}else if(t.kind===`pull`||t.kind===`push`)for await(let t of Ft(e.sql,n))t.header&&(e.columns=t.header.columns,e.types=t.header.types,e.changed()),t.rows?.length&&(e.firstMs??=performance.now()-e.beganMs,e.add(t.rows)),t.end&&(e.note=t.end);else[e.result]=await Pt(e.sql,n),Nt(t);e.end(`done`)}catch(t){if(e.stopper.signal.aborted)return e.end(`stopped`);t.span&&(t.place=[e.start+t.span[0],e.start+t.span[1]]),e.end(`failed`,t)}}var ln=new Intl.NumberFormat(`en-US`),Z=e=>ln.format(Number(e));function Q(e){let t=Number(e);for(let[e,n]of[[`G`,1e9],[`M`,1e6],[`k`,1e3]])if(Math.abs(t)>=n)return`${(t/n).toFixed(Math.abs(t)>=10*n?0:1)}${e}`;return Number.isInteger(t)?String(t):t.toFixed(+(Math.abs(t)<10))}var un=e=>e==null?`–`:`${Q(e)}/s`;function dn(e){let t=Number(e);for(let[e,n]of[[`GiB`,2**30],[`MiB`,2**20],[`KiB`,1024]])if(t>=n)return`${(t/n).toFixed(t>=10*n?0:1)} ${e}`;return`${t} B`}function fn(e){if(e==null)return`–`;let t=new Date(Number(e));return Number.isNaN(t.getTime())?String(e):t.toISOString().replace(`T`,` `).replace(`Z`,``)}function pn(e){for(let[t,n]of[[`day`,864e5],[`hour`,36e5],[`minute`,6e4]])if(e>=n)return mn(+(e/n).toPrecision(3),t);return e>=1e3?`${+(e/1e3).toPrecision(3)} s`:`${+e.toPrecision(3)} ms`}var mn=(e,t,n=t+`s`)=>`${Z(e)} ${e===1?t:n}`,hn=`penstock.theme`,gn=matchMedia(`(prefers-color-scheme: dark)`),_n=W(localStorage.getItem(hn)??`system`),vn=W(!1),yn=()=>{vn.value=_n.value===`dark`||_n.value===`system`&&gn.matches,document.documentElement.dataset.theme=vn.value?`dark`:`light`};et(()=>{localStorage.setItem(hn,_n.value),yn()}),gn.addEventListener(`change`,yn);var bn=e=>getComputedStyle(document.documentElement).getPropertyValue(e).trim(),xn=(function(){let e=typeof document<`u`&&document.createElement(`link`).relList;return e&&e.supports&&e.supports(`modulepreload`)?`modulepreload`:`preload`})(),Sn=function(e,t){return new URL(e,t).href},Cn={},wn=function(e){return e.pathname.endsWith(`.css`)},Tn=function(e,t,n){if(t in e)return e[t];let r=n();if(!r){e[t]=void 0;return}let i=r.then(()=>{e[t]=void 0},n=>{throw e[t]=void 0,n});return e[t]=i,i},En=function(e,t,n){let r=Promise.resolve();if(t&&t.length>0){let e,i=document.querySelector(`meta[property=csp-nonce]`),a=i?.nonce||i?.getAttribute(`nonce`);function o(e){return Promise.all(e.map(e=>Promise.resolve(e).then(e=>({status:`fulfilled`,value:e}),e=>({status:`rejected`,reason:e}))))}function s(e){return import.meta.resolve?new URL(import.meta.resolve(e)):new URL(e,import.meta.url)}r=o(t.map(t=>{t=Sn(t,n);let r=s(t),i=wn(r);return Tn(Cn,r.href,()=>{if(e===void 0){e={all:new Set,styles:new Set};let t=document.getElementsByTagName(`link`);for(let n=t.length-1;n>=0;n--){let r=t[n];e.all.add(r.href),r.rel===`stylesheet`&&e.styles.add(r.href)}}if((i?e.styles:e.all).has(r.href))return;let t=document.createElement(`link`);if(t.rel=i?`stylesheet`:xn,i||(t.as=`script`),t.crossOrigin=``,t.href=r.href,a&&t.setAttribute(`nonce`,a),document.head.appendChild(t),i)return new Promise((e,n)=>{let i=a=>{t.removeEventListener(`load`,i),t.removeEventListener(`error`,i),a.type===`error`?n(Error(`Unable to preload CSS for ${r}`)):e(a)};t.addEventListener(`load`,i),t.addEventListener(`error`,i)})})}).filter(e=>e!==void 0))}function i(e){let t=new Event(`vite:preloadError`,{cancelable:!0});if(t.payload=e,window.dispatchEvent(t),!t.defaultPrevented)throw e}return r.then(t=>{for(let e of t||[])e.status===`rejected`&&i(e.reason);return e().catch(i)})},Dn=[`--series-1`,`--series-2`,`--series-3`,`--series-4`,`--series-5`,`--series-6`],On=2e4,kn=6,An=60,jn=/^(INT|BIGINT|DOUBLE|DECIMAL)/,Mn=/^(TIMESTAMP|DATE)/,Nn=/^(WINDOWSTART|WINDOWEND|ROWTIME)$/i;function Pn({label:e,data:t,series:n,time:r=!1,categories:i=null,height:a=260}){let o=z(null),s=z(null),c=vn.value,l=JSON.stringify([n,r,i!==null,c,a]),u=z(i);return u.current=i,R(()=>{let e=!1,c=null;return Promise.all([En(()=>import(`./uPlot.esm-BScb58at.js`),[],import.meta.url),En(()=>Promise.resolve({}),__vite__mapDeps([0]),import.meta.url)]).then(([{default:l}])=>{if(e)return;let d={stroke:bn(`--muted`),grid:{stroke:bn(`--line`),width:1},ticks:{stroke:bn(`--line`),width:1}},f={...d,values:(e,t)=>t.map(e=>Number.isInteger(e)?Ln(u.current?.[e]??``):``),grid:{show:!1}},p=i===null?void 0:l.paths.bars({size:[.7,64]});s.current=new l({width:Math.max(200,o.current.clientWidth),height:a,scales:{x:{time:r,range:i===null?void 0:(e,t,n)=>[t-.6,n+.6]},y:{range:zn(l)}},axes:[i===null?r?{...d,values:In}:d:f,{...d,size:64,values:(e,t)=>t.map(Rn)}],series:[{label:r?`time`:`at`,value:i===null?(e,t)=>t===null?``:r?Fn(t):String(t):(e,t)=>u.current?.[t]??``},...n.map((e,t)=>({label:e,stroke:bn(Dn[t%Dn.length]),fill:p?bn(Dn[t%Dn.length]):void 0,width:2,paths:p,points:{show:!p&&void 0},spanGaps:!0}))],legend:{live:!0}},t,o.current),c=new ResizeObserver(([e])=>s.current?.setSize({width:Math.max(200,e.contentRect.width),height:a})),c.observe(o.current)}),()=>{e=!0,c?.disconnect(),s.current?.destroy(),s.current=null}},[l]),R(()=>s.current?.setData(t),[t]),q`<div class="plot" ref=${o} role="img" aria-label=${e}></div>`}var Fn=e=>new Date(e*1e3).toISOString().slice(11,23),In=(e,t,n,r,i)=>t.map(e=>{let t=new Date(e*1e3).toISOString();return i<1?t.slice(14,21):i<60?t.slice(11,19):i<86400?t.slice(11,16):t.slice(5,10)}),Ln=e=>e.length>14?e.slice(0,13)+`…`:e,Rn=e=>Math.abs(e)>=1e4?Intl.NumberFormat(`en-US`,{notation:`compact`}).format(e):String(+e.toPrecision(6)),zn=e=>(t,n,r)=>{if(n===null||r===null)return[0,1];let[i,a]=e.rangeNum(n,r===n?r+1:r,.1,!0);return n>=0&&n<r*.6?[0,a]:[i,a]};function Bn(e,t){return t.some(e=>jn.test(e))}function Vn({columns:e,types:t,count:n,row:r,version:i}){let a=e.map((e,t)=>t).filter(n=>jn.test(t[n])&&!Nn.test(e[n])),o=e.map((e,t)=>t).filter(e=>/^(STRING|VARCHAR|BOOLEAN)/.test(t[e])),s=e.map((e,t)=>t).filter(n=>Mn.test(t[n])||jn.test(t[n])&&Nn.test(e[n])),[c,l]=L(s[0]??(o.length&&n<=An?o[0]:-1)),[u,d]=L(a.slice(0,1)),[f,p]=L(s.length&&o.length?o[0]:-1),m=Hn({columns:e,types:t,count:n,row:r,x:c,ys:u,by:f===c?-1:f}),h=e=>d(u.includes(e)?u.filter(t=>t!==e):[...u,e].sort((e,t)=>e-t));return q`
    <div class="chart">
      <div class="bar wrap">
        <label>Across
          <select value=${c} onChange=${e=>l(Number(e.target.value))}>
            <option value="-1">the rows' order</option>
            ${e.map((e,t)=>q`<option value=${t}>${e}</option>`)}
          </select>
        </label>
        <fieldset class="inline">
          <legend>Up</legend>
          ${a.map(t=>q`<label><input type="checkbox" checked=${u.includes(t)} onChange=${()=>h(t)} /> ${e[t]}</label>`)}
        </fieldset>
        ${o.length>0&&!m.categories&&q`<label>A line for each
          <select value=${f} onChange=${e=>p(Number(e.target.value))}>
            <option value="-1">–</option>
            ${o.map(t=>q`<option value=${t}>${e[t]}</option>`)}
          </select>
        </label>`}
      </div>
      ${m.series.length?q`<${Pn} label=${`Chart of ${m.series.join(`, `)}`} data=${m.data} series=${m.series} time=${m.time} categories=${m.categories} height=${280} />`:q`<p class="empty">Choose a column of numbers.</p>`}
      ${m.note&&q`<p class="note">${m.note}</p>`}
    </div>
  `}function Hn({columns:e,types:t,count:n,row:r,x:i,ys:a,by:o}){let s=Math.max(0,n-On),c=i>=0&&!jn.test(t[i])&&!Mn.test(t[i]),l=i>=0&&(Mn.test(t[i])||Nn.test(e[i])),u=(e,n)=>i<0?n+1:Mn.test(t[i])?Date.parse(e[i])/1e3:l?_t(e[i])/1e3:_t(e[i]),d=s>0?`the last ${On.toLocaleString(`en-US`)} rows`:``;if(c){let t=new Map;for(let e=s;e<n;e++){let{cells:n,muted:a}=r(e),o=gt(n[i]);a?t.delete(o):t.set(o,n)}let o=[...t.keys()].slice(0,An);return t.size>o.length&&(d=`the first ${An} of ${t.size} values of ${e[i]}`),{data:[o.map((e,t)=>t),...a.map(e=>o.map(n=>_t(t.get(n)[e])))],series:a.map(t=>e[t]),categories:o,time:!1,note:d}}let f=new Map,p=new Set;for(let t=s;t<n;t++){let{cells:n,muted:i}=r(t),s=u(n,t);if(i||s===null||Number.isNaN(s))continue;let c=o>=0?gt(n[o]):null;for(let t of a){let r=c===null?e[t]:a.length>1?`${c} ${e[t]}`:c;if(!f.has(r)){if(f.size>=kn*Math.max(1,a.length)){d=`the first ${kn} values of ${e[o]}`;continue}f.set(r,new Map)}p.add(s),f.get(r).set(s,_t(n[t]))}}let m=[...p].sort((e,t)=>e-t);return{data:[m,...[...f.values()].map(e=>m.map(t=>e.get(t)??null))],series:[...f.keys()],categories:null,time:l,note:d}}var $=30,Un=8,Wn=200,Gn=46,Kn=8e6,qn=0;function Jn({label:e,columns:t,count:n,row:r,follow:i=!1,version:a=0,link:o}){let s=z(null),[c,l]=L(0),[u,d]=L(300),[f,p]=L(-1),[m,h]=L(-1),g=B(()=>`grid${++qn}`,[]),_=z(!0);we(()=>{let e=new ResizeObserver(()=>d(s.current?.clientHeight??300));return e.observe(s.current),()=>e.disconnect()},[]),we(()=>{i&&_.current&&s.current&&(s.current.scrollTop=s.current.scrollHeight)},[i,n,a,u]);let v=z([]);R(()=>{v.current=[],p(-1),h(-1)},[t.map(e=>e.name).join(`\0`)]);let y=t.map((e,t)=>Math.max(v.current[t]??0,e.name.length+2,4));for(let e=Math.max(0,n-Wn);e<n;e++){let{cells:n}=r(e);for(let e=0;e<t.length;e++)y[e]=Math.max(y[e],Math.min(Gn,bt(t[e],n[e]).length+1))}v.current=y;let b=y.map(e=>`calc(${e}ch + 16px)`),x=b.map((e,n)=>n===b.length-1&&t[n].align!==`right`?`minmax(${e}, 1fr)`:e).join(` `),S=Math.min(n*$,Kn),C=n*$>Kn?(n*$-u)/(Kn-u):1,w=c*C,T=Math.max(0,Math.min(n-1,Math.floor(w/$)-Un)),E=Math.min(n,Math.ceil((w+u)/$)+Un),D=C===1?T*$:c-(w-T*$),ee=()=>{let e=s.current;e&&(_.current=e.scrollTop+e.clientHeight>=e.scrollHeight-$,l(e.scrollTop))},O=e=>{let t=Math.max(0,Math.min(n-1,e));p(t);let r=s.current;if(!r)return;let i=t*$;i<r.scrollTop*C?r.scrollTop=i/C:i+60>r.scrollTop*C+r.clientHeight&&(r.scrollTop=(i+60-r.clientHeight)/C)},k=e=>{let t=Math.max(1,Math.floor(u/$)-2),r={ArrowDown:1,ArrowUp:-1,PageDown:t,PageUp:-t};if(e.key in r)O(f+r[e.key]);else if(e.key===`Home`)O(0);else if(e.key===`End`)O(n-1);else if(e.key===`Enter`&&f>=0)h(f);else if(e.key===`Escape`&&m>=0)h(-1);else return;e.preventDefault()},te=[];for(let e=T;e<E;e++){let{cells:n,muted:i}=r(e);te.push(q`
      <div
        key=${e}
        id=${`${g}-${e}`}
        role="row"
        aria-rowindex=${e+2}
        aria-selected=${e===f}
        class=${`grid-row ${e===f?`chosen`:``} ${i?`muted`:``} ${e%2?`odd`:``}`}
        style=${{gridTemplateColumns:x}}
        onClick=${()=>(p(e),h(e))}
      >
        ${t.map((e,t)=>{let r=bt(e,n[t]),i=n[t]===null||n[t]===void 0;return q`<div role="gridcell" title=${r} class=${`${e.align??``} ${i?`null`:``}`}>${r}</div>`})}
      </div>
    `)}let ne=m>=0&&m<n?r(m).cells:null;return q`
    <div class="grid-box">
      <div
        ref=${s}
        class="grid"
        role="grid"
        aria-label=${e}
        aria-rowcount=${n+1}
        aria-activedescendant=${f>=T&&f<E?`${g}-${f}`:void 0}
        tabindex="0"
        onScroll=${ee}
        onKeyDown=${k}
      >
        <div class="grid-head" role="row" aria-rowindex="1" style=${{gridTemplateColumns:x}}>
          ${t.map(e=>q`<div role="columnheader" class=${e.align??``} title=${e.type??e.name}>${e.name}</div>`)}
        </div>
        <div class="grid-body" role="rowgroup" style=${{height:`${S}px`}}>
          <div role="presentation" style=${{transform:`translateY(${D}px)`}}>${te}</div>
        </div>
      </div>
      ${ne&&q`
        <section class="grid-detail" aria-label="The chosen row">
          <div class="bar">
            <strong>Row ${m+1}</strong>
            ${o?.(m)}
            <span class="spring"></span>
            <button class="quiet" onClick=${()=>h(-1)}>Close</button>
          </div>
          <dl tabindex="0">
            ${t.map((e,t)=>q`<dt>${e.name}</dt><dd>${e.bound?bt(e,ne[t]):Yn(ne[t])}</dd>`)}
          </dl>
        </section>
      `}
    </div>
  `}function Yn(e){if(typeof e==`string`&&/^\s*[[{]/.test(e))try{return JSON.stringify(JSON.parse(e),null,2)}catch{return e}return typeof e==`object`&&e&&!(e instanceof pt)?JSON.stringify(e,null,2):gt(e)}var Xn=(e,t)=>e.map((e,n)=>{let r=t?.[n],i=yt(e,r);return{name:e,type:r,bound:i,align:!i&&/^(INT|BIGINT|DOUBLE|DECIMAL)/.test(r??``)?`right`:``}}),Zn=`penstock.text`,Qn=`SHOW STREAMS;
SHOW TABLES;
`,$n=W([]),er=W(null),tr=W(sessionStorage.getItem(Zn)??Qn),nr=W(!1),rr=e=>{tr.value=e,sessionStorage.setItem(Zn,e)};function ir(){let e=z(null),t=z(null),[n,r]=L([]),[i,a]=L(null),[o,s]=L(null),c=()=>K(`/v1/catalog`).then(s,()=>{}),l=async e=>{if(!nr.value&&t.current){nr.value=!0,a(null);for(let e of $n.value)e.state===`running`&&e.stop();$n.value=[],er.value=null;try{let n=t.current.text,r=await on(n,t.current.selection,e);await sn(n,r.statements,r.problems,e=>{$n.value=[...$n.value,e],er.value=e});let i=$n.value.find(e=>e.error?.place);i&&t.current?.fault(...i.error.place,i.error.message+(i.error.suggestion?`\n${i.error.suggestion}`:``))}catch(e){a(e)}finally{nr.value=!1,c()}}},u=()=>$n.value.forEach(e=>e.stop()),d=z(l);d.current=l,R(()=>{let n=!1;return en.value.sql&&rr(en.value.sql),En(async()=>{let{makeEditor:e}=await import(`./editor-DKINUuOQ.js`);return{makeEditor:e}},[],import.meta.url).then(({makeEditor:i})=>{n||(t.current=i(e.current,{text:tr.value,onRun:e=>d.current(e),onStop:u,onChange:rr,onProblems:r}),t.current.focus())}),c(),()=>{n=!0,t.current?.destroy(),t.current=null}},[]);let f=$n.value.some(e=>e.state===`running`);return q`
    <div class="editor-screen">
      <div class="editor-main">
        <h1 class="hidden">SQL editor</h1>
        <div class="editor-host" ref=${e} data-testid="editor"></div>
        <div class="bar wrap">
          <button class="primary" onClick=${()=>l(!1)} disabled=${nr.value} title="Ctrl+Enter">Run</button>
          <button onClick=${()=>l(!0)} disabled=${nr.value} title="Ctrl+Shift+Enter">Run all</button>
          <button onClick=${u} disabled=${!f} title="Ctrl+.">Stop</button>
          <span class="spring"></span>
          ${n.length?q`<button class="quiet problem" onClick=${()=>t.current?.goTo(n[0].start,n[0].end)}>
                Line ${(e=>tr.value.slice(0,e).split(`
`).length)(n[0].start)}: ${n[0].message}${n.length>1?` (and ${n.length-1} more)`:``}
              </button>`:q`<span class="note keyboard">Ctrl+Enter runs the statement at the cursor</span>`}
        </div>
        <${J} error=${i} what="The statements were not run" />
        <${ar} />
      </div>
      <${lr}
        catalog=${o}
        onPick=${e=>{t.current?.replace(e),t.current?.focus()}}
      />
    </div>
  `}function ar(){let e=$n.value;if(!e.length)return q`<p class="empty">Results stand here. Streams and tables to begin with are in the list beside or below.</p>`;let t=er.value??e.at(-1);return q`
    <div class="results">
      ${e.length>1&&q`
        <div class="tabs" role="tablist" aria-label="Results" onKeyDown=${n=>{let r={ArrowRight:1,ArrowLeft:-1}[n.key];if(!r)return;let i=e[(e.indexOf(t)+r+e.length)%e.length];er.value=i,document.getElementById(`tab-${i.id}`)?.focus()}}>
          ${e.map((e,n)=>q`
              <button
                key=${e.id}
                id=${`tab-${e.id}`}
                role="tab"
                aria-selected=${e===t}
                aria-controls="result"
                tabindex=${e===t?0:-1}
                class=${e.error?`bad`:``}
                onClick=${()=>er.value=e}
              >
                <span class="number">${n+1}</span> ${e.sql.replace(/\s+/g,` `).slice(0,26)}
              </button>
            `)}
        </div>
      `}
      <div class="result" id="result" role=${e.length>1?`tabpanel`:void 0} aria-labelledby=${e.length>1?`tab-${t.id}`:void 0}>
        <${or} key=${t.id} outcome=${t} />
      </div>
    </div>
  `}function or({outcome:e}){let t=e.version.value,[n,r]=L(`table`);if(e.error&&!e.count)return q`<${J} error=${e.error} what=${e.error.place?`Wrong`:void 0} />`;if(e.result)return q`<${sr} result=${e.result} />`;if(!e.columns)return q`<p class="empty" role="status">${e.state===`stopped`?`Stopped.`:`Running …`}</p>`;let i=e.paused.value,a=Bn(e.columns,e.types),o=((e.tookMs??0)/1e3).toFixed(2),s=e.state===`running`?i?`paused`:e.live?`live`:`running`:e.state===`done`?`done in ${o} s`:e.state;return q`
    <div class="bar wrap">
      <span class=${`state ${e.state===`running`?i?`paused`:`running`:``}`} role="status">${s}</span>
      <span class="note">${mn(e.count+e.dropped,`row`)}${e.dropped?`, the last ${Z(e.count)} kept`:``}</span>
      ${e.note&&q`<span class="note">${e.note}</span>`}
      <span class="spring"></span>
      ${e.live&&e.state===`running`&&q`
        <button aria-pressed=${i} onClick=${()=>e.pause(!i)}>${i?`Resume`:`Pause`}</button>
      `}
      ${a&&q`
        <div class="choice" role="group" aria-label="View">
          <button aria-pressed=${n===`table`} onClick=${()=>r(`table`)}>Table</button>
          <button aria-pressed=${n===`chart`} onClick=${()=>r(`chart`)}>Chart</button>
        </div>
      `}
    </div>
    <${J} error=${e.error} />
    ${n===`chart`&&a?q`<${Vn} columns=${e.columns} types=${e.types} count=${e.count} row=${e.row} version=${t} />`:q`<${Jn}
          label="Rows of the result"
          columns=${Xn(e.columns,e.types)}
          count=${e.count}
          row=${e.row}
          follow=${e.live}
          version=${t}
        />`}
  `}function sr({result:e}){return e.result===`message`?q`<p class=${`said ${e.warning?`warning`:``}`} role="status">${e.text}</p>`:e.result===`listing`?q`<${cr} listing=${e} label=${e.kind} />`:q`
    <div class="description">
      ${e.title&&q`<h2>${e.title}</h2>`}
      ${e.sections.map(([e,t])=>q`
          <h3>${e}</h3>
          ${typeof t==`string`?q`<pre tabindex="0">${t}</pre>`:q`<${cr} listing=${t} label=${e} />`}
        `)}
    </div>
  `}function cr({listing:e,label:t}){if(!e.rows.length)return q`<p class="empty">None.</p>`;let n=e.columns.map((e,t)=>t).filter(t=>e.rows.every(e=>typeof e[t]==`number`)),r=e.rows.map(e=>e.map(e=>e===null?q`<span class="null">NULL</span>`:typeof e==`number`?Z(e):String(e)));return q`<${Y} label=${t} columns=${e.columns} rows=${r} right=${n} />`}function lr({catalog:e,onPick:t}){if(!e)return q`<aside class="sources" aria-label="Streams and tables"></aside>`;let n=e=>/^[A-Z_][A-Z0-9_]*$/.test(e)?e.toLowerCase():"`"+e.replaceAll("`","``")+"`";return q`
    <aside class="sources" aria-label="Streams and tables">
      <h2>Streams and tables</h2>
      ${e.sources.length===0&&q`<p class="empty">None yet.</p>`}
      <ul>
        ${e.sources.map(e=>q`
            <li key=${e.name}>
              <details>
                <summary><span class=${`kind ${e.kind.toLowerCase()}`} aria-hidden="true">${e.kind[0]}</span> ${e.name}</summary>
                <ul class="columns">
                  ${e.fields.map(e=>q`<li><span>${e.name}</span> <span class="note">${ur(e.schema)}${e.role===`KEY`?` key`:``}</span></li>`)}
                </ul>
                <div class="bar wrap">
                  <button class="small" onClick=${()=>t(`SELECT * FROM ${n(e.name)} EMIT CHANGES;`)}>Follow</button>
                  <button class="small" onClick=${()=>t(`SELECT * FROM ${n(e.name)} LIMIT 100;`)}>Read</button>
                  <a class="small" href=${X(`topics`,e.topic)}>Topic</a>
                </div>
              </details>
            </li>
          `)}
      </ul>
    </aside>
  `}function ur(e){return e.type===`ARRAY`?`ARRAY<${ur(e.memberSchema)}>`:e.type===`MAP`?`MAP<${e.keySchema?ur(e.keySchema):`STRING`}, ${ur(e.memberSchema)}>`:e.type===`STRUCT`?`STRUCT<${e.fields.map(e=>`${e.name} ${ur(e.schema)}`).join(`, `)}>`:e.parameters?`DECIMAL(${e.parameters.precision}, ${e.parameters.scale})`:e.type}function dr(e,t,n=[]){let[r,i]=L({data:void 0,error:null}),a=z(()=>{});return R(()=>{let n=new AbortController,r=0,o=async()=>{clearTimeout(r);try{if(!document.hidden){let t=await e(n.signal);n.signal.aborted||i({data:t,error:null})}}catch(e){n.signal.aborted||i(t=>({...t,error:e}))}!n.signal.aborted&&t&&(r=setTimeout(o,t))};a.current=o,i({data:void 0,error:null}),o();let s=()=>!document.hidden&&o();return document.addEventListener(`visibilitychange`,s),()=>{n.abort(),clearTimeout(r),document.removeEventListener(`visibilitychange`,s)}},n),{...r,again:()=>a.current()}}var fr=class{#e=[];#t;constructor(e=5e3){this.#t=e}add(e,t=performance.now()){for(this.#e.push({atMs:t,counts:e});this.#e.length>2&&t-this.#e[1].atMs>this.#t;)this.#e.shift()}of(e){let t=this.#e.find(t=>e in t.counts),n=this.#e.at(-1);return!t||t===n||!(e in n.counts)?null:Math.max(0,1e3*(n.counts[e]-t.counts[e])/(n.atMs-t.atMs))}},pr=1e3,mr=[.35,.5,.65,.8,1,1.25,1.6],hr=e=>{let t={};for(let n of e.nodes)n.kind===`topic`&&(t[n.id]=n.records);for(let n of e.edges)`read`in n&&(t[`${n.from} ${n.to}`]=Number(n.read)),`written`in n&&(t[`${n.from} ${n.to}`]=Number(n.written));return t};function gr(){let e=B(()=>new fr,[]),[t,n]=L(null),r=z(null),{data:i,error:a}=dr(async t=>{let n=await K(`/v1/graph`,{signal:t});return e.add(hr(n)),n},pr);if(!i)return a?q`<h1>Flow</h1><${J} error=${a} />`:q`<h1>Flow</h1><${Gt} />`;let o=r.current?Math.min(1.15,Math.max(.7,(r.current.clientWidth-4)/i.width)):1,s=t??o,c=e=>{let t=mr.findIndex(e=>e>=s-.01);n(mr[Math.max(0,Math.min(mr.length-1,(t<0?mr.length-1:t)+e))])},l=i.nodes.filter(e=>e.kind===`query`),u=l.reduce((e,t)=>e+Number(t.lag),0);return q`
    <div class="flow-screen">
      <div class="bar wrap">
        <h1>Flow</h1>
        <span class="note" role="status">${mn(l.length,`query`,`queries`)}, ${u?`${Q(u)} records behind`:`nothing behind`}</span>
        <span class="spring"></span>
        <div class="choice" role="group" aria-label="Size">
          <button onClick=${()=>c(-1)} aria-label="Smaller">−</button>
          <button onClick=${()=>n(null)} aria-pressed=${t===null}>Fit</button>
          <button onClick=${()=>c(1)} aria-label="Larger">+</button>
        </div>
      </div>
      <${J} error=${a} what="This may be out of date" />
      ${i.nodes.length===0&&q`<p class="empty">Nothing flows yet. CREATE a stream in the <a href=${X(`editor`)}>editor</a>.</p>`}
      <div class="flow-box" ref=${r} tabindex="0" role="region" aria-label="Flow graph">
        <svg
          width=${i.width*s}
          height=${i.height*s}
          viewBox=${`0 0 ${i.width} ${i.height}`}
          role="group"
          aria-label="Topics, streams, tables and queries"
        >
          <defs>
            <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
              <path d="M0 0 L8 4 L0 8 z" class="arrow" />
            </marker>
          </defs>
          ${i.edges.map(t=>q`<${yr} key=${`${t.from} ${t.to}`} edge=${t} rates=${e} meets=${vr(i,`to`,t)} parts=${vr(i,`from`,t)} />`)}
          ${i.nodes.map(t=>q`<${xr} key=${t.id} node=${t} rates=${e} />`)}
        </svg>
      </div>
      <p class="legend">
        ${[`topic`,`stream`,`query`,`table`].map(e=>q`<span><i class=${`swatch ${e}`}></i>${e}</span>`)}
        <span>on the lines: records a second, and how many wait to be read</span>
      </p>
    </div>
  `}function _r(e){let t=`M${e[0][0]} ${e[0][1]}`;for(let n=1;n<e.length;n++){let[r,i]=e[n-1],[a,o]=e[n],s=(a-r)/2;t+=Math.abs(o-i)<.5?`L${a} ${o}`:`C${r+s} ${i} ${a-s} ${o} ${a} ${o}`}return t}var vr=(e,t,n)=>e.edges.filter(e=>e[t]===n[t]).length>1;function yr({edge:e,rates:t,meets:n,parts:r}){if(e.points.length<2)return null;let i=`lag`in e||`written`in e,a=i?t.of(`${e.from} ${e.to}`):t.of(e.from),o=Number(e.lag??0),s=e.points[0],c=e.points.at(-1),l=[(s[0]+c[0])/2+12,(s[1]+c[1])/2],[u,d]=n?r?l:[s[0]+6,s[1]]:[c[0]-9,c[1]],f=n?`start`:`end`;return q`
    <g class=${`edge ${a?`flowing`:``} ${o?`behind`:``}`}>
      <path d=${_r(e.points)} marker-end="url(#arrow)" />
      ${i&&a!==null&&a>0&&q`<text x=${u} y=${d-6} text-anchor=${f} class="edge-rate">${un(a)}</text>`}
      ${o>0&&q`<text x=${u} y=${d+15} text-anchor=${f} class="edge-lag">${Q(o)} wait</text>`}
    </g>
  `}var br={topic:e=>X(`topics`,e.name),query:e=>X(`queries`,e.name),stream:e=>X(`topics`,e.topic),table:e=>X(`topics`,e.topic)};function xr({node:e,rates:t}){let n=e.kind===`topic`?t.of(e.id):null,r=e.kind===`query`?`${e.state.toLowerCase()}${Number(e.lag)?`, ${Q(e.lag)} behind`:``}${Number(e.bad)?`, ${Q(e.bad)} bad`:``}`:e.kind===`topic`?n?`${Q(e.records)} records, ${un(n)}`:`${Q(e.records)} records`:e.kind,i=e.state===`ERROR`||Number(e.bad??0)>0,a=`${e.kind} ${e.name}: ${r}`;return q`
    <a href=${br[e.kind](e)} class=${`node ${e.kind} ${i?`alarm`:``} ${e.state===`PAUSED`?`halted`:``}`} aria-label=${a}>
      <title>${a}</title>
      <rect x=${e.x} y=${e.y} width=${e.width} height=${e.height} rx=${e.kind===`query`?e.height/2:6} />
      <text x=${e.x+e.width/2} y=${e.y+20} class="node-name">${e.label}</text>
      <text x=${e.x+e.width/2} y=${e.y+36} class="node-under">${r}</text>
    </a>
  `}function Sr(){let[e,t]=L(`password`),[n,r]=L(``),[i,a]=L(``),[o,s]=L(null),[c,l]=L(!1);return q`
    <main class="login" id="content">
      <form onSubmit=${async t=>{t.preventDefault(),l(!0),s(null);try{await Ot(e===`password`?n:``,i)}catch(e){s(e)}finally{l(!1)}}}>
        <img src="./icon.svg" alt="" width="48" height="48" />
        <h1>Penstock</h1>
        <div class="choice" role="group" aria-label="Log in with">
          <button type="button" aria-pressed=${e===`password`} onClick=${()=>t(`password`)}>Password</button>
          <button type="button" aria-pressed=${e===`token`} onClick=${()=>t(`token`)}>Token</button>
        </div>
        ${e===`password`&&q`<label>Name <input autocomplete="username" autofocus required value=${n} onInput=${e=>r(e.target.value)} /></label>`}
        <label>${e===`password`?`Password`:`Token`}
          <input type="password" autocomplete="current-password" required value=${i} onInput=${e=>a(e.target.value)} />
        </label>
        <button class="primary" disabled=${c}>Log in</button>
        <${J} error=${o} what="Not let in" />
      </form>
    </main>
  `}function Cr(){let e=B(()=>new fr,[]),{data:t,error:n}=dr(async t=>{let{nodes:n}=await K(`/v1/graph`,{signal:t}),r=n.filter(e=>e.kind===`query`);return e.add(Object.fromEntries(r.map(e=>[e.id,Number(e.read)]))),r},1500);return q`
    <h1>Queries</h1>
    <${J} error=${n} />
    ${!t&&!n&&q`<${Gt} />`}
    ${t?.length===0&&q`<p class="empty">No query runs. CREATE TABLE … AS SELECT … starts one.</p>`}
    ${t?.length>0&&q`<${Y}
      label="Queries"
      columns=${[`Query`,`State`,`Behind`,`Reads`,`Read`,`Written`,`Late`,`Bad`]}
      right=${[2,3,4,5,6,7]}
      rows=${t.map(t=>[q`<a href=${X(`queries`,t.name)}>${t.name}</a>`,q`<${Wt} state=${t.state} />`,Z(t.lag),un(e.of(t.id)),Z(t.read),Z(t.written),Z(t.late),q`<span class=${Number(t.bad)?`bad-count`:``}>${Z(t.bad)}</span>`])}
    />`}
  `}var wr=1e3;function Tr({id:e}){let t=B(()=>new fr(3e3),[e]),n=z([[],[],[],[]]),[r,i]=L(null),[a,o]=L(!1),{data:s,error:c,again:l}=dr(async r=>{let i=await K(`/v1/queries/${encodeURIComponent(e)}`,{signal:r}),{account:a,lag:o}=i.progress;t.add({read:Number(a.read),written:Number(a.written)});let s=[Date.now()/1e3,t.of(`read`),t.of(`written`),Number(o)];return n.current=n.current.map((e,t)=>[...e,s[t]].slice(-300)),i},wr,[e]);R(()=>{n.current=[[],[],[],[]]},[e]);let u=B(()=>n.current.slice(0,3),[s]),d=B(()=>[n.current[0],n.current[3]],[s]);if(!s)return q`<h1>${e}</h1>${c?q`<${J} error=${c} />`:q`<${Gt} />`}`;let{progress:f}=s,{account:p}=f,m=async t=>{if((t!==`TERMINATE`||await Jt(`Terminate ${e}?`,`It stops for good and its state is forgotten. What it wrote to ${s.topic} stays.`,`Terminate`))&&(t!==`PAUSE`||await Jt(`Pause ${e}?`,`It reads nothing until it is resumed; ${s.sink} stands still meanwhile.`,`Pause`))){o(!0),i(null);try{await Pt(`${t} ${zt(e)};`),t===`TERMINATE`?tn(`queries`):l()}catch(e){i(e)}finally{o(!1)}}},h=f.state!==`RUNNING`,g=e=>Number(p.read)?`${(100*Number(e)/Number(p.read)).toFixed(2)} % of those read`:``;return q`
    <p class="crumbs"><a href=${X(`queries`)}>Queries</a></p>
    <div class="bar wrap">
      <h1>${e}</h1>
      <${Wt} state=${f.state} />
      <span class="spring"></span>
      ${h?q`<button disabled=${a} onClick=${()=>m(`RESUME`)}>Resume</button>`:q`<button disabled=${a} onClick=${()=>m(`PAUSE`)}>Pause</button>`}
      <button class="danger" disabled=${a} onClick=${()=>m(`TERMINATE`)}>Terminate</button>
    </div>
    <${J} error=${c} what="This may be out of date" />
    <${J} error=${r} />
    ${f.error&&q`<p class="failure" role="alert"><strong>It stopped:</strong> ${f.error}</p>`}
    <p class="reads">
      reads ${s.sources.map((e,t)=>q`${t?`, `:``}<strong>${e}</strong>`)}, writes <strong>${s.sink}</strong> to the topic${` `}
      <a href=${X(`topics`,s.topic)}>${s.topic}</a>
    </p>
    <div class="tiles">
      <${Kt} label="Behind" value=${Q(f.lag)} note="records not read yet" alarm=${Number(f.lag)>1e5} />
      <${Kt} label="Reads" value=${un(t.of(`read`))} note=${`${Z(p.read)} so far`} />
      <${Kt} label="Writes" value=${un(t.of(`written`))} note=${`${Z(p.written)} so far`} />
      <${Kt} label="Late" value=${Q(p.late)} note=${g(p.late)||`after their window's grace`} />
      <${Kt} label="Bad" value=${Q(p.bad)} note=${g(p.bad)||`could not be processed`} alarm=${Number(p.bad)>0} />
      <${Kt} label="State" value=${dn(f.state_bytes)} note=${`${Z(f.state_rows)} keys`} />
    </div>
    <${Dr} id=${e} />
    <div class="plots">
      <section aria-label="Speed"><h2>Records a second</h2><${Pn} label="Records read and written a second" data=${u} series=${[`read/s`,`written/s`]} time=${!0} height=${180} /></section>
      <section aria-label="Lag"><h2>Records behind</h2><${Pn} label="Records not read yet" data=${d} series=${[`behind`]} time=${!0} height=${180} /></section>
    </div>
    ${f.lateness.length>0&&q`<${Er} progress=${f} bounds=${s.lateness_bounds_ms} />`}
    <h2>Statement</h2>
    <pre tabindex="0">${s.statement}</pre>
    <h2>Plan</h2>
    <${Or} id=${e} plan=${s.plan} />
    <h2>Positions</h2>
    <${Y}
      label="Positions"
      columns=${[`Topic`,`Partition`,`Position`,`End`,`Behind`]}
      right=${[1,2,3,4]}
      rows=${s.positions.map(e=>[q`<a href=${X(`topics`,e.topic)}>${e.topic}</a>`,e.partition,Z(e.position),Z(e.end),Z(e.end-e.position)])}
    />
    <h2>Bad records</h2>
    <${Ar} id=${e} bad=${Number(p.bad)} />
  `}function Er({progress:e,bounds:t}){let n=e.lateness.map(Number),r=n.reduce((e,t)=>e+t,0);if(!r)return q`<h2>How late rows come</h2><p class="empty">No row has come behind stream time since the query started.</p>`;let i=n.slice(0,n.findLastIndex(e=>e>0)+1),a=Math.max(...i),o=0,s=i.map((e,n)=>(o+=e,[n<t.length?`up to ${pn(t[n])}`:`more than ${pn(t.at(-1))}`,e>0&&q`<div class="share" aria-hidden="true" style=${{width:`${100*e/a}%`}}></div>`,Z(e),n<t.length?`${(100*o/r).toFixed(2)} %`:``]));return q`
    <h2>How late rows come</h2>
    <p class="note">
      ${mn(r,`row`)} came behind stream time since the query started here, ${pn(Number(e.lateness_ms)/r)} on average.
      ${` `}With a GRACE PERIOD as long as a line says, no row up to that line is lost.
    </p>
    <${Y} label="Lateness" columns=${[`Behind stream time`,``,`Rows`,`Within this`]} right=${[2,3]} rows=${s} />
  `}function Dr({id:e}){let[t,n]=L(null),[r,i]=L(null);return q`
    <div class="bar"><button onClick=${async()=>{i(null);try{let[{rows:t}]=await Pt(`WHY NO ROWS FROM ${zt(e)};`);n(t)}catch(e){i(e)}}}>${t?`Look again`:`Why no rows?`}</button><span class="note">what holds rows back: filters, joins without matches, event time that is missing</span></div>
    <${J} error=${r} />
    ${t&&q`<${Y}
      label="What holds rows back"
      columns=${[`Finding`,`Count`,`Detail`,`Would mend it`]}
      right=${[1]}
      rows=${t.map(([e,t,n,r])=>[e,t===null?``:Z(t),n,r?q`<a href=${`${X(`editor`)}?${new URLSearchParams({sql:r})}`} title=${r}>statement, in the editor</a>`:``])}
    />`}
  `}function Or({id:e,plan:t}){let{data:n,error:r}=dr(async t=>{let[n]=await Pt(`EXPLAIN ANALYZE ${zt(e)};`,{signal:t});return n.sections.find(([e])=>e===`Operators`)?.[1]},2e3,[e]);if(!n)return q`<pre tabindex="0">${t}</pre>${r&&q`<p class="note">${r.message}</p>`}`;let i=n.rows.map(([e,...t])=>[q`<code class="operator" style=${{paddingLeft:`${(e.length-e.trimStart().length)*.6}em`}}>${e.trim()}</code>`,...t.map(e=>e===null?``:Z(Math.round(Number(e))))]);return q`<${Y} label="Operators" columns=${n.columns} rows=${i} right=${[1,2,3,4,5]} />`}var kr=50;function Ar({id:e,bad:t}){let{data:n,error:r}=dr(async()=>{if(!t)return[];let{rows:n}=await Rt(`SELECT time, logger, message FROM KSQL_PROCESSING_LOG WHERE logger LIKE ${Bt(`processing.${e}.`.replace(/[%_]/g,`\\$&`)+`%`)} ESCAPE '\\' ORDER BY time DESC LIMIT ${kr};`);return n.map(([e,t,n])=>{let r=n.deserializationError??n.recordProcessingError??n.serializationError??{};return{at:e,operator:t.split(`.`).slice(2).join(`.`),...r}})},0,[e,t]);return r?q`<${J} error=${r} what="The processing log could not be read" />`:n?n.length?q`<${Y}
    label="Bad records"
    columns=${[`When`,`Where`,`Why`,`Record`]}
    rows=${n.map(e=>[fn(e.at),e.operator,e.errorMessage,e.topic?q`<a href=${`${X(`topics`,e.topic)}?from=offset:${e.offset}&partition=${e.partition}`}>${e.topic}, partition ${e.partition}, offset ${Z(e.offset)}</a>`:``])}
  />`:q`<p class="empty">None${t?` in the processing log`:``}.</p>`:q`<${Gt} />`}var jr=700,Mr=200;function Nr({name:e}){let{data:t,error:n}=dr(t=>K(`/v1/topics/${encodeURIComponent(e)}`,{signal:t}),3e3,[e]);return q`
    <p class="crumbs"><a href=${X(`topics`)}>Topics</a></p>
    <h1>${e}</h1>
    <${J} error=${n} />
    ${!t&&!n&&q`<${Gt} />`}
    ${t&&q`
      <p class="reads">
        ${t.sources.length?q`under ${t.sources.map((e,t)=>q`${t?`, `:``}<strong>${e}</strong>`)}`:`no stream or table stands on it`}${t.queries.length?q`, read by ${t.queries.map((e,t)=>q`${t?`, `:``}<a href=${X(`queries`,e)}>${e}</a>`)}`:``}
      </p>
      <h2>Records</h2>
      <${Rr} key=${JSON.stringify([e,en.value])} name=${e} partitions=${t.partitions.length} />
      <h2>Partitions</h2>
      <${Y}
        label="Partitions"
        columns=${[`Partition`,`Start`,`End`,`Size`,`Segments`,`First record`,`Last record`]}
        right=${[0,1,2,3,4]}
        rows=${t.partitions.map(e=>[e.partition,Z(e.start),Z(e.end),dn(e.bytes),e.segments,fn(e.firstTimestamp),fn(e.lastTimestamp)])}
      />
      <details class="config">
        <summary>Config</summary>
        <${Y} label="Config" columns=${[`Name`,`Value`]} rows=${Object.entries(t.config)} />
      </details>
    `}
  `}var Pr=[{name:`Partition`,align:`right`},{name:`Offset`,align:`right`}],Fr=[{name:`Key`},{name:`Value`}],Ir=[{name:`Time`},...Pr,...Fr],Lr=[{name:`Time`},...Fr,...Pr];function Rr({name:e,partitions:t}){let n=en.value,[r,i]=(n.from??`tail`).split(`:`),[a,o]=L(r),[s,c]=L(i??``),[l,u]=L(n.partition??``),[d,f]=L(n.key??``),[p,m]=L({records:[],next:null,end:!1,looking:!1,live:!1,error:null,looked:0}),[h,g]=L(!1),_=z(null),v=z(!1);v.current=h;let y=(t,n,r=200)=>{let i=new URLSearchParams({from:t,limit:r});return l!==``&&i.set(`partition`,l),d!==``&&i.set(`key`,d),K(`/v1/topics/${encodeURIComponent(e)}/records?${i}`,{signal:n})},b=async e=>{e?.preventDefault(),_.current?.abort();let t=_.current=new AbortController;g(!1);let n=a===`tail`;m({records:[],next:null,end:!1,looking:!0,live:n,error:null});try{let e=a===`tail`?d?`end`:`last`:a===`offset`?`offset:${s.trim()}`:a===`time`?`time:${zr(s)}`:a;n?await S(e,t.signal):await x(e,t.signal,200)}catch(e){t.signal.aborted||m(t=>({...t,looking:!1,live:!1,error:e}))}},x=async(e,t,n)=>{m(e=>({...e,looking:!0}));let r=0;for(let i=0;i<Mr&&r<n;i++){let n=await y(e,t);if(t.aborted)return;if(e=n.next,r+=n.records.length,m(e=>({...e,records:[...e.records,...n.records],next:n.next,end:n.end})),n.end)break}m(e=>({...e,looking:!1}))},S=async(e,t)=>{let n=!0;for(;!t.aborted;){if(!v.current&&!document.hidden){let r=await y(e,t,n?50:1e3);if(t.aborted)return;if(e=r.next,n=!1,m(e=>({...e,looking:!1,records:r.records.length?[...e.records,...r.records].slice(-2e4):e.records})),!r.end)continue}await new Promise(e=>setTimeout(e,jr))}};R(()=>(b(),()=>_.current?.abort()),[]);let{records:C,live:w}=p,T=matchMedia(`(max-width: 760px)`).matches;return q`
    <form class="bar wrap search" onSubmit=${b}>
      <label>From
        <select value=${a} onChange=${e=>o(e.target.value)}>
          <option value="tail">now on (live)</option>
          <option value="beginning">the beginning</option>
          <option value="offset">offset</option>
          <option value="time">time</option>
        </select>
      </label>
      ${a===`offset`&&q`<label>Offset <input inputmode="numeric" pattern="[0-9]+" required value=${s} onInput=${e=>c(e.target.value)} size="10" /></label>`}
      ${a===`time`&&q`<label>Time (UTC) <input required placeholder="2026-01-31 12:00" value=${s} onInput=${e=>c(e.target.value)} size="18" /></label>`}
      <label>Partition
        <select value=${l} onChange=${e=>u(e.target.value)}>
          <option value="">all</option>
          ${Array.from({length:t},(e,t)=>q`<option value=${t}>${t}</option>`)}
        </select>
      </label>
      <label>Key <input value=${d} onInput=${e=>f(e.target.value)} size="14" placeholder="any" /></label>
      <button class="primary" type="submit">${a===`tail`?`Follow`:`Search`}</button>
      ${w&&q`<button type="button" aria-pressed=${h} onClick=${()=>g(!h)}>${h?`Resume`:`Pause`}</button>`}
      <span class="spring"></span>
      <span class=${`state ${w?h?`paused`:`running`:``}`} role="status">
        ${p.looking?`looking`:w?h?`paused`:`live`:mn(C.length,`record`)+(p.end?`, to the end`:``)}
      </span>
    </form>
    <${J} error=${p.error} />
    <${Jn}
      label="Records"
      columns=${T?Lr:Ir}
      count=${C.length}
      row=${e=>{let t=C[e],n=[t.keyFormat===`none`?null:t.key,t.valueFormat===`none`?null:t.value],r=[t.partition,t.offset];return{cells:T?[fn(t.timestamp).slice(11),...n,...r]:[fn(t.timestamp),...r,...n],muted:n[1]===null}}}
      follow=${w}
      version=${C.at(-1)?.offset??0}
    />
    ${!w&&!p.end&&p.next&&!p.looking&&q`<div class="bar"><button onClick=${()=>x(p.next,_.current.signal,200).catch(e=>m(t=>({...t,looking:!1,error:e})))}>Read on</button></div>`}
  `}function zr(e){let t=e.trim();if(/^\d{11,}$/.test(t))return t;let n=/(Z|[+-]\d\d:?\d\d)$/i.test(t)?t:`${t.replace(` `,`T`)}${t.includes(`:`)?`Z`:`T00:00Z`}`,r=Date.parse(n);if(Number.isNaN(r))throw Error(`${t} is no time: write 2026-01-31 12:00, or milliseconds`);return r}function Br(){let{data:e,error:t}=dr(e=>K(`/v1/topics`,{signal:e}),3e3);return q`
    <h1>Topics</h1>
    <${J} error=${t} />
    ${!e&&!t&&q`<${Gt} />`}
    ${e?.length===0&&q`<p class="empty">There is none.</p>`}
    ${e?.length>0&&q`<${Y}
      label="Topics"
      columns=${[`Topic`,`Partitions`,`Records`,`Size`,`Streams and tables`]}
      right=${[1,2,3]}
      rows=${e.map(e=>[q`<a href=${X(`topics`,e.name)}>${e.name}</a>`,e.partitions,Z(e.records),dn(e.bytes),e.sources.join(`, `)])}
    />`}
  `}var Vr=[[`editor`,`Editor`,`M4 6l5 5-5 5M11 17h8`],[`flow`,`Flow`,`M3 6h5v5H3zM3 15h5v5H3zM16 10h5v5h-5zM8 8.500c5 0 3 4 8 4M8 17.500c5 0 3-4 8-4`],[`queries`,`Queries`,`M4 6h16M4 12h16M4 18h9M17 15l5 3-5 3z`],[`topics`,`Topics`,`M4 5h16v4H4zM4 10.500h16v4H4zM4 16h16v4H4z`]],Hr={system:`as the system`,light:`light`,dark:`dark`},Ur=[[`Alt+1 … Alt+4`,`editor, flow, queries, topics`],[`Ctrl+Enter`,`run the statement at the cursor, or those selected`],[`Ctrl+Shift+Enter`,`run all statements`],[`Ctrl+.`,`stop`],[`Ctrl+Space`,`suggest`],[`F8`,`the next fault`],[`Esc, Tab`,`leave the editor`],[`↑ ↓ Page Home End`,`in a table: choose a row`],[`Enter, Esc`,`in a table: show the row in full, close it`],[`?`,`this list`]];function Wr([e,t]){return e===`flow`?q`<${gr} />`:e===`queries`?t?q`<${Tr} key=${t} id=${t} />`:q`<${Cr} />`:e===`topics`?t?q`<${Nr} key=${t} name=${t} />`:q`<${Br} />`:q`<${ir} />`}function Gr(){let[e,t]=L(null),[n,r]=L(!1),[i=`editor`,a]=$t.value,o=Vr.find(([e])=>e===i)?.[1]??`Editor`;if(R(()=>{At().catch(t)},[]),R(()=>{document.title=`${a??o} – Penstock`},[o,a]),R(()=>{let e=e=>{let t=e.target.closest?.(`input, select, textarea, .editor-host, [contenteditable]`);e.altKey&&!e.ctrlKey&&e.key>=`1`&&e.key<=`4`?(e.preventDefault(),tn(Vr[Number(e.key)-1][0])):e.key===`?`&&!t&&r(!0)};return addEventListener(`keydown`,e),()=>removeEventListener(`keydown`,e)},[]),G.value===null)return q`<${Sr} />`;if(G.value===void 0)return q`<main id="content">${e?q`<h1>Penstock</h1><${J} error=${e} what="The server does not answer" />`:q`<${Gt} />`}</main>`;let s={system:`light`,light:`dark`,dark:`system`}[_n.value];return q`
    <a class="skip" href="#content" onClick=${e=>(e.preventDefault(),document.getElementById(`content`).focus())}>Skip to the content</a>
    <header>
      <a class="brand" href=${X(`editor`)}><img src="./icon.svg" alt="" width="26" height="26" /> Penstock</a>
      <nav aria-label="Screens">
        ${Vr.map(([e,t,n],r)=>q`
            <a href=${X(e)} aria-current=${e===i?`page`:void 0} title=${`Alt+${r+1}`}>
              <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true"><path d=${n} /></svg>
              <span>${t}</span>
            </a>
          `)}
      </nav>
      <span class="spring"></span>
      ${G.value.authenticated&&q`<span class="who">${G.value.name}</span><button class="quiet" onClick=${kt}>Log out</button>`}
      <button class="quiet" onClick=${()=>_n.value=s} aria-label=${`Colours: ${Hr[_n.value]}`} title=${`Colours: ${Hr[_n.value]}`}>
        <svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true"><circle cx="12" cy="12" r="8" /><path d="M12 4a8 8 0 0 1 0 16z" class="filled" /></svg>
      </button>
      <button class="quiet" onClick=${()=>r(!0)} aria-label="Keys" title="Keys (?)">?</button>
    </header>
    ${St.value&&q`<p class="offline" role="alert">The server does not answer.</p>`}
    <main id="content" tabindex="-1" class=${i}>${Wr([i,a])}</main>
    <${Xt} />
    ${n&&q`
      <${Yt} title="Keys" onClose=${()=>r(!1)}>
        <dl class="keys">${Ur.map(([e,t])=>q`<dt><kbd>${e}</kbd></dt><dd>${t}</dd>`)}</dl>
        <div class="bar end"><button autofocus onClick=${()=>r(!1)}>Close</button></div>
      <//>
    `}
  `}P(q`<${Gr} />`,document.getElementById(`console`));export{Mt as n,Et as t};